import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from fpainter.evaluation import statistics
from fpainter.evaluation.metrics.frechet import matrix_sqrt
from fpainter.evaluation.protocols import get_protocol
from fpainter.evaluation.statistics import (
    RealStatistics,
    real_sample,
    real_statistics,
    store_statistics,
)
from fpainter.evaluation.statistics_file import cached
from tests.evaluation.toys import TinyExtractor, ToyImages

PNG = get_protocol("png")


def test_moments_are_those_of_all_images(tmp_path: Path) -> None:
    images, extractor = ToyImages(), TinyExtractor()
    result = real_statistics(images, extractor, PNG, tmp_path, batch_size=7)
    features = extractor(images.tensor).double()
    torch.testing.assert_close(result.moments.mean, features.mean(0))
    torch.testing.assert_close(result.moments.cov, torch.cov(features.T))
    torch.testing.assert_close(result.sqrt_cov, matrix_sqrt(result.moments.cov))
    assert (result.num_images, result.moments.num, result.protocol) == (40, 40, "png")
    assert result.weights_sha256 == "tiny"


def test_second_call_reads_the_file_and_leaves_the_network_alone(tmp_path: Path) -> None:
    images, extractor = ToyImages(), TinyExtractor()
    first = real_statistics(images, extractor, PNG, tmp_path)
    calls = extractor.calls
    second = real_statistics(images, extractor, PNG, tmp_path)
    assert extractor.calls == calls > 0
    assert torch.equal(first.moments.cov, second.moments.cov)
    assert torch.equal(first.sqrt_cov, second.sqrt_cov)
    files = [path.name for path in (tmp_path / "statistics").glob("[!.]*")]
    assert files == [f"{first.key}.safetensors"]


@pytest.mark.parametrize("damage", ["truncated", "empty", "other shape", "one bit"])
def test_a_damaged_file_is_rebuilt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    images = ToyImages()
    first = real_statistics(images, TinyExtractor(), PNG, tmp_path)
    path = tmp_path / "statistics" / f"{first.key}.safetensors"
    whole = path.read_bytes()
    if damage == "other shape":
        other = real_statistics(images, TinyExtractor(4, "other"), PNG, tmp_path)
        path.write_bytes((path.parent / f"{other.key}.safetensors").read_bytes())
    elif damage == "one bit":  # of the numbers, which end the file
        path.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    else:
        path.write_bytes(whole[: len(whole) // 2] if damage == "truncated" else b"")
    with caplog.at_level(logging.WARNING):
        again = real_statistics(images, TinyExtractor(), PNG, tmp_path)
    assert "computing the statistics again" in caplog.text
    assert torch.equal(again.moments.cov, first.moments.cov)
    assert path.read_bytes() == whole


def test_the_key_names_images_protocol_weights_number_and_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(
        images: ToyImages, weights: str = "tiny", protocol: str = "png", num: int | None = None
    ) -> str:
        extractor = TinyExtractor(weights_sha256=weights)
        return real_statistics(
            images, extractor, get_protocol(protocol), tmp_path, max_images=num
        ).key

    images = ToyImages()
    keys = [
        key(images),
        key(ToyImages(seed=1)),
        key(images, weights="other"),
        key(images, protocol="paper"),
        key(images, num=10),
    ]
    assert len(set(keys)) == 5
    assert key(images, num=1000) == keys[0]
    monkeypatch.setattr(statistics, "_VERSION", "another")
    assert key(images) not in keys


def test_max_images_are_spread_over_the_set(tmp_path: Path) -> None:
    images, extractor = ToyImages(), TinyExtractor()
    few = real_statistics(images, extractor, PNG, tmp_path, max_images=4)
    expected = extractor(images.tensor[[0, 10, 20, 30]]).double().mean(0)
    torch.testing.assert_close(few.moments.mean, expected)


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))

    real_statistics(ToyImages(), TinyExtractor(), PNG, tmp_path, batch_size=16, progress=progress)
    assert seen == [(16, 40), (32, 40), (40, 40)]


def test_a_failed_run_leaves_no_file(tmp_path: Path) -> None:
    class Broken(TinyExtractor):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        real_statistics(ToyImages(), Broken(), PNG, tmp_path)
    assert not list(tmp_path.rglob("[!.]*.*"))


@pytest.mark.parametrize(("num", "batch_size", "limit"), [(1, 8, None), (9, 0, None), (9, 8, 1)])
def test_impossible_numbers_are_errors(
    tmp_path: Path, num: int, batch_size: int, limit: int | None
) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        real_statistics(ToyImages(num), TinyExtractor(), PNG, tmp_path, batch_size, limit)


def test_statistics_are_read_only(tmp_path: Path) -> None:
    result = real_statistics(ToyImages(), TinyExtractor(), PNG, tmp_path)
    assert isinstance(result, RealStatistics)
    with pytest.raises(AttributeError):
        result.key = "other"  # type: ignore[misc]


def test_two_that_ask_at_once_make_it_once(tmp_path: Path) -> None:
    class Slow(TinyExtractor):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            time.sleep(0.05)
            return super().forward(images)

    extractor, images = Slow(), ToyImages()
    with ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(real_statistics, images, extractor, PNG, tmp_path, batch_size=20)
            for _ in range(4)
        ]
        found = [each.result() for each in asked]
    assert extractor.calls == 2
    assert all(torch.equal(each.moments.cov, found[0].moments.cov) for each in found)


def test_a_sample_is_spread_over_the_images_and_kept(tmp_path: Path) -> None:
    images, extractor = ToyImages(), TinyExtractor()
    sample = real_sample(images, extractor, PNG, tmp_path, 8, batch_size=3)
    torch.testing.assert_close(sample, extractor(images.tensor[::5]))
    calls = extractor.calls
    assert torch.equal(real_sample(images, extractor, PNG, tmp_path, 8), sample)
    assert extractor.calls == calls
    assert len(real_sample(images, extractor, PNG, tmp_path, 100)) == 40
    # The same number of images: moments and sample must not be taken for each other.
    assert real_statistics(images, extractor, PNG, tmp_path, max_images=8).moments.num == 8


def test_moments_from_elsewhere_are_found(tmp_path: Path) -> None:
    images, extractor = ToyImages(), TinyExtractor()
    moments = real_statistics(images, extractor, PNG, tmp_path / "a").moments
    store_statistics(moments, images, extractor, PNG, tmp_path / "b")
    calls = extractor.calls
    found = real_statistics(images, extractor, PNG, tmp_path / "b")
    assert extractor.calls == calls
    assert torch.equal(found.moments.cov, moments.cov)
    with pytest.raises(ValueError, match=r"moments of 40 images .* do not fit 41 images"):
        store_statistics(moments, ToyImages(41), extractor, PNG, tmp_path)


def test_a_network_of_another_protocol_is_an_error(tmp_path: Path) -> None:
    extractor = TinyExtractor()
    extractor.prepare = get_protocol("png").prepare  # type: ignore[assignment]
    real_statistics(ToyImages(), extractor, get_protocol("paper"), tmp_path)
    other = get_protocol("clean")
    with pytest.raises(ValueError, match="otherwise than the protocol 'clean'"):
        real_statistics(ToyImages(), extractor, other, tmp_path)
    with pytest.raises(ValueError, match="otherwise than the protocol 'clean'"):
        real_sample(ToyImages(), extractor, other, tmp_path, num=3)


def test_nobody_waits_for_the_statistics_of_other_images(tmp_path: Path) -> None:
    shapes = {"x": (1,)}

    def make() -> dict[str, torch.Tensor]:
        return {"x": torch.ones(1)}

    def make_slowly() -> dict[str, torch.Tensor]:
        # The lock of `a` is held here; were it that of `b`, too, this would not end.
        ThreadPoolExecutor().submit(cached, tmp_path, "b", shapes, 1, make).result(timeout=20)
        return make()

    cached(tmp_path, "a", shapes, 1, make_slowly)
