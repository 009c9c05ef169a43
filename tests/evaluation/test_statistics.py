import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from fpainter.errors import UserError
from fpainter.evaluation import features
from fpainter.evaluation.features import RealStatistics
from fpainter.evaluation.metrics.frechet import matrix_sqrt
from fpainter.evaluation.protocols import get_protocol
from fpainter.evaluation.statistics_file import cached
from tests.evaluation.toys import TinyExtractor, ToyImages, toy_features


def test_moments_are_those_of_all_images(tmp_path: Path) -> None:
    images, extractor = ToyImages(), TinyExtractor()
    result = toy_features(tmp_path, extractor, batch_size=7).statistics(images)
    expected = extractor(images.tensor).double()
    torch.testing.assert_close(result.moments.mean, expected.mean(0))
    torch.testing.assert_close(result.moments.cov, torch.cov(expected.T))
    torch.testing.assert_close(result.sqrt_cov, matrix_sqrt(result.moments.cov))
    assert result.moments.num == 40


def test_second_call_reads_the_file_and_leaves_the_network_alone(tmp_path: Path) -> None:
    images, extractor = ToyImages(), TinyExtractor()
    first = toy_features(tmp_path, extractor).statistics(images)
    calls = extractor.calls
    second = toy_features(tmp_path, extractor).statistics(images)
    assert extractor.calls == calls > 0
    assert torch.equal(first.moments.cov, second.moments.cov)
    assert torch.equal(first.sqrt_cov, second.sqrt_cov)
    files = {path.name for path in (tmp_path / "statistics").glob("[!.]*")}
    features = toy_features(tmp_path, extractor).path(images, 40, "sample")
    assert files == {first.path.name, features.name}


@pytest.mark.parametrize("damage", ["truncated", "empty", "other shape", "one bit"])
def test_a_damaged_file_is_rebuilt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    images = ToyImages()
    first = toy_features(tmp_path, TinyExtractor()).statistics(images)
    path = first.path
    whole = path.read_bytes()
    if damage == "other shape":
        other = toy_features(tmp_path, TinyExtractor(4, "other")).statistics(images)
        path.write_bytes(other.path.read_bytes())
    elif damage == "one bit":  # of the numbers, which end the file
        path.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    else:
        path.write_bytes(whole[: len(whole) // 2] if damage == "truncated" else b"")
    with caplog.at_level(logging.WARNING):
        again = toy_features(tmp_path, TinyExtractor()).statistics(images)
    assert "computing the statistics of the reals again" in caplog.text
    assert torch.equal(again.moments.cov, first.moments.cov)
    assert path.read_bytes() == whole


def test_the_name_tells_images_protocol_weights_version_and_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def name(images: ToyImages, weights: str = "tiny", protocol: str = "png") -> str:
        extractor = TinyExtractor(weights_sha256=weights)
        return toy_features(tmp_path, extractor, protocol).statistics(images).path.stem

    images = ToyImages()
    names = [
        name(images),
        name(ToyImages(seed=1)),
        name(images, weights="other"),
        name(images, protocol="paper"),
    ]
    assert len(set(names)) == 4
    # That of files made before other devices were told from CPUs.
    assert names[0] == "83a58d9ef371254f99766c53562e1698bfcf6c34610cd6ded529672fac23e523"
    on_gpu = TinyExtractor()
    monkeypatch.setattr(TinyExtractor, "device", torch.device("cuda"))
    assert toy_features(tmp_path, on_gpu).path(images, 40).stem not in names
    monkeypatch.undo()
    monkeypatch.setattr(features, "_VERSION", "another")
    assert name(images) not in names


def test_progress_begins_at_none_and_ends_at_the_total(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []

    def report(what: str, done: int, total: int) -> None:
        seen.append((what, done, total))

    toy_features(tmp_path, batch_size=64, report=report).statistics(ToyImages())
    assert seen == [("features of the reals", done, 40) for done in (0, 16, 32, 40)]


def test_a_failed_run_leaves_no_file(tmp_path: Path) -> None:
    class Broken(TinyExtractor):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        toy_features(tmp_path, Broken()).statistics(ToyImages())
    assert not list(tmp_path.rglob("[!.]*.*"))


def test_impossible_numbers_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least 2 images, got 1"):
        toy_features(tmp_path).statistics(ToyImages(1))
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        toy_features(tmp_path, batch_size=0)


def test_statistics_are_read_only(tmp_path: Path) -> None:
    result = toy_features(tmp_path, TinyExtractor()).statistics(ToyImages())
    assert isinstance(result, RealStatistics)
    with pytest.raises(AttributeError):
        result.path = tmp_path  # type: ignore[misc]


def test_two_that_ask_at_once_make_it_once(tmp_path: Path) -> None:
    class Slow(TinyExtractor):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            time.sleep(0.05)
            return super().forward(images)

    extractor, images = Slow(), ToyImages()
    asker = toy_features(tmp_path, extractor, batch_size=20)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(asker.statistics, images) for _ in range(4)]
        found = [each.result() for each in asked]
    assert extractor.calls == 4  # 16 and 4 of each 20
    assert all(torch.equal(each.moments.cov, found[0].moments.cov) for each in found)


def test_a_sample_is_spread_over_the_images_and_kept(tmp_path: Path) -> None:
    images, extractor = ToyImages(), TinyExtractor()
    sample = toy_features(tmp_path, extractor, batch_size=3).sample(images, 8)
    torch.testing.assert_close(sample, extractor(images.tensor[::5]))
    calls = extractor.calls
    assert torch.equal(toy_features(tmp_path, extractor).sample(images, 8), sample)
    assert extractor.calls == calls
    assert len(toy_features(tmp_path, extractor).sample(images, 100)) == 40
    # The same number of images: moments and sample must not be taken for each other.
    few = ToyImages(8)
    few.fingerprint = images.fingerprint
    assert toy_features(tmp_path, extractor).statistics(few).moments.num == 8


@pytest.mark.parametrize("num", [40, 9])
def test_statistics_keep_the_features(
    num: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images, extractor = ToyImages(), TinyExtractor()
    features = toy_features(tmp_path, extractor, batch_size=7)
    features.statistics(images)
    calls = extractor.calls
    with caplog.at_level(logging.INFO):
        sample = features.sample(images, num)
    assert extractor.calls == calls
    assert caplog.messages[0].startswith("features of 40 reals are read from")
    expected = extractor(images.tensor[[place * 40 // num for place in range(num)]])
    torch.testing.assert_close(sample, expected)


def test_features_that_are_kept_make_statistics(tmp_path: Path) -> None:
    images, extractor = ToyImages(), TinyExtractor()
    expected = toy_features(tmp_path / "a", extractor, batch_size=7).statistics(images)
    features = toy_features(tmp_path / "b", extractor, batch_size=7)
    features.sample(images, 40)
    calls = extractor.calls
    found = features.statistics(images)
    assert extractor.calls == calls
    torch.testing.assert_close(found.moments.cov, expected.moments.cov, rtol=1e-12, atol=1e-15)


def test_damaged_features_are_computed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = ToyImages()
    sample = toy_features(tmp_path).sample(images, 40)
    path = toy_features(tmp_path).path(images, 40, "sample")
    whole = path.read_bytes()
    path.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    assert torch.equal(toy_features(tmp_path).sample(images, 40), sample)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "computing the features of the reals again" in caplog.text
    assert path.read_bytes() == whole


def test_features_of_very_many_images_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = ToyImages()
    expected = toy_features(tmp_path / "a", batch_size=7).statistics(images)
    monkeypatch.setattr(features, "MOST_KEPT", 39)
    found = toy_features(tmp_path / "b", batch_size=7).statistics(images)
    assert torch.equal(found.moments.cov, expected.moments.cov)
    assert len([*(tmp_path / "b" / "statistics").glob("[!.]*")]) == 1


def test_moments_from_elsewhere_are_found(tmp_path: Path) -> None:
    images, extractor = ToyImages(), TinyExtractor()
    moments = toy_features(tmp_path / "a", extractor).statistics(images).moments
    toy_features(tmp_path / "b", extractor).store(moments, images)
    calls = extractor.calls
    found = toy_features(tmp_path / "b", extractor).statistics(images)
    assert extractor.calls == calls
    assert torch.equal(found.moments.cov, moments.cov)
    with pytest.raises(ValueError, match=r"moments of 40 images .* do not fit 41 images"):
        toy_features(tmp_path, extractor).store(moments, ToyImages(41))


def test_a_network_of_another_protocol_is_an_error(tmp_path: Path) -> None:
    extractor = TinyExtractor()
    extractor.prepare = get_protocol("png").prepare  # type: ignore[assignment]
    toy_features(tmp_path, extractor, "paper")
    with pytest.raises(ValueError, match="otherwise than the protocol 'clean'"):
        toy_features(tmp_path, extractor, "clean")


def test_nobody_waits_for_the_statistics_of_other_images(tmp_path: Path) -> None:
    shapes = {"x": (1,)}

    def make() -> dict[str, torch.Tensor]:
        return {"x": torch.ones(1)}

    def make_slowly() -> dict[str, torch.Tensor]:
        # The lock of `a` is held here; were it that of `b`, too, this would not end.
        ThreadPoolExecutor().submit(cached, tmp_path / "b", shapes, make).result(timeout=20)
        return make()

    cached(tmp_path / "a", shapes, make_slowly)
