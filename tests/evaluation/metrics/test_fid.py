import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchmetrics.image.fid import FrechetInceptionDistance

from fpainter.evaluation.metrics.fid import PaintedFID, _note_small_sample, score_fid
from fpainter.evaluation.protocols import Protocol, get_protocol
from fpainter.evaluation.statistics import RealStatistics, real_statistics
from fpainter.generators.latents import latents
from tests.evaluation.toys import TinyExtractor, ToyImages, random_images
from tests.reference.frechet import exact_frechet_distance

PNG = get_protocol("png")
D_LATENT = 6


def paint(z: Tensor) -> Tensor:
    mixing = torch.randn(D_LATENT, 192, generator=torch.Generator().manual_seed(5))
    return (torch.sigmoid(z @ mixing) * 255).round().to(torch.uint8).unflatten(1, (3, 8, 8))


def draw(indices: Sequence[int]) -> Tensor:
    return paint(latents(1, indices, D_LATENT))


@pytest.fixture
def statistics(tmp_path: Path) -> RealStatistics:
    return real_statistics(ToyImages(), TinyExtractor(), PNG, tmp_path)


def loaded(statistics: RealStatistics, rank: int = 0) -> PaintedFID:
    metric = PaintedFID(TinyExtractor())
    metric.preload(statistics, rank)
    return metric


def score(metric: PaintedFID, num: int = 30, batch: int = 8, protocol: Protocol = PNG) -> float:
    return score_fid(draw, num, metric, protocol, batch)


def test_equals_torchmetrics_on_the_same_features(statistics: RealStatistics) -> None:
    theirs = FrechetInceptionDistance(TinyExtractor())
    ours, fresh = loaded(statistics), PaintedFID(TinyExtractor())
    for metric in (theirs, fresh):
        metric.update(ToyImages().tensor, real=True)
    for metric in (theirs, ours, fresh):
        for batch in random_images(50, 9).split(13):
            metric.update(batch, real=False)
    value = ours.compute()
    assert value.dtype == torch.float64
    assert float(value) == pytest.approx(float(theirs.compute()), rel=1e-6)
    assert float(value) == pytest.approx(float(fresh.compute()), rel=1e-9)
    assert float(value) > 1e-3


def test_equals_the_exact_distance_with_fewer_images_than_features(tmp_path: Path) -> None:
    images, extractor = ToyImages(20), TinyExtractor(64)
    metric = PaintedFID(extractor)
    metric.preload(real_statistics(images, extractor, PNG, tmp_path))
    fakes = random_images(15, 9)
    metric.update(fakes, real=False)
    expected = exact_frechet_distance(extractor(images.tensor), extractor(fakes))
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-8)


def test_reset_keeps_the_reals(statistics: RealStatistics) -> None:
    metric = loaded(statistics)
    first = score(metric)
    metric.update(random_images(50, 3), real=False)
    assert score(metric) == first


def test_other_reals_take_the_place_of_those_before(
    statistics: RealStatistics, tmp_path: Path
) -> None:
    other = real_statistics(ToyImages(seed=1), TinyExtractor(), PNG, tmp_path)
    used, fresh, fakes = loaded(statistics), loaded(other), random_images(50, 9)
    for metric in (used, fresh):
        metric.update(fakes)
    assert float(used.compute()) != float(fresh.compute())
    used.preload(other)
    assert float(used.compute()) == float(fresh.compute())


def test_features_of_the_first_images_are_kept_in_their_order(statistics: RealStatistics) -> None:
    metric, images = PaintedFID(TinyExtractor(), num_kept=5), random_images(8, 9)
    metric.preload(statistics)
    for round_of_scores in range(2):
        metric.reset()
        fakes = images.flip(2) if round_of_scores else images
        for indices in ([6, 4, 2, 0], [5, 3, 1, 7]):
            metric.update(fakes[indices], indices=indices)
        metric.update(random_images(3, 1))  # nobody knows which ones they are
        metric.compute()
        assert metric.sample is not None
        torch.testing.assert_close(metric.sample, TinyExtractor()(fakes[:5]))


def test_reals_added_after_the_preloaded_ones_count(statistics: RealStatistics) -> None:
    extra, fakes = random_images(30, 7), random_images(50, 9)
    metric = loaded(statistics)
    metric.update(extra, real=True)
    metric.update(fakes, real=False)
    extractor = TinyExtractor()
    reals = extractor(torch.cat([ToyImages().tensor, extra]))
    expected = exact_frechet_distance(reals, extractor(fakes))
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-8)


def test_score_is_the_distance_of_exactly_those_latents(statistics: RealStatistics) -> None:
    extractor = TinyExtractor()
    fakes = paint(latents(1, range(30), D_LATENT))
    expected = exact_frechet_distance(extractor(ToyImages().tensor), extractor(fakes))
    assert score(loaded(statistics)) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("batch", [1, 7, 30, 64])
def test_score_does_not_depend_on_the_batch_size(statistics: RealStatistics, batch: int) -> None:
    assert score(loaded(statistics), batch=batch) == pytest.approx(
        score(loaded(statistics), batch=8), rel=1e-6
    )


def test_score_does_not_depend_on_the_number_of_processes(statistics: RealStatistics) -> None:
    whole = score(loaded(statistics), num=31)
    metrics = [loaded(statistics, rank) for rank in range(2)]
    for rank, metric in enumerate(metrics):
        # Alone, a process has no reals or half of the fakes; only the summed states matter.
        metric.compute = lambda: torch.zeros(())  # type: ignore[method-assign]
        score_fid(draw, 31, metric, PNG, 4, rank, world_size=2)
    assert [int(metric.fake_features_num_samples) for metric in metrics] == [16, 15]
    assert int(metrics[1].real_features_num_samples) == 0
    summed = loaded(statistics, rank=1)
    summed.update(paint(torch.zeros(1, D_LATENT)), real=False)
    for name in summed.metric_state:
        setattr(summed, name, metrics[0].metric_state[name] + metrics[1].metric_state[name])  # type: ignore[operator]
    assert float(summed.compute()) == pytest.approx(whole, rel=1e-6)


def test_fakes_go_through_the_protocol(statistics: RealStatistics) -> None:
    inverted = Protocol("png", "inverts", lambda images: 255 - images)
    assert abs(score(loaded(statistics)) - score(loaded(statistics), protocol=inverted)) > 1e-3


def test_reals_and_fakes_of_different_protocols_are_an_error(statistics: RealStatistics) -> None:
    with pytest.raises(ValueError, match=r"protocol 'png'.*through 'paper'"):
        score(loaded(statistics), protocol=get_protocol("paper"))


def test_statistics_of_another_network_are_an_error(statistics: RealStatistics) -> None:
    with pytest.raises(ValueError, match="8 features, the network has 16"):
        PaintedFID(TinyExtractor(16)).preload(statistics)
    with pytest.raises(ValueError, match="weights tiny, the network has other"):
        PaintedFID(TinyExtractor(weights_sha256="other")).preload(statistics)


def test_progress_and_a_note_about_few_images(
    statistics: RealStatistics, caplog: pytest.LogCaptureFixture
) -> None:
    _note_small_sample.cache_clear()
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))

    metric = loaded(statistics)
    with caplog.at_level(logging.INFO):
        score_fid(draw, 5, metric, PNG, 2, progress=progress)
        score_fid(draw, 5, metric, PNG, 2)
        score_fid(draw, 9, metric, PNG, 2)
    assert seen == [(2, 5), (4, 5), (5, 5)]
    assert caplog.text.count("fewer than 8 images") == 1


@pytest.mark.parametrize(
    ("num", "batch", "rank", "world"), [(1, 1, 0, 1), (9, 0, 0, 1), (9, 1, 1, 1)]
)
def test_numbers_out_of_range_are_errors(
    statistics: RealStatistics, num: int, batch: int, rank: int, world: int
) -> None:
    with pytest.raises(ValueError, match="need batch_size"):
        score_fid(draw, num, loaded(statistics), PNG, batch, rank, world)


def test_compute_without_enough_images_is_an_error(statistics: RealStatistics) -> None:
    metric = loaded(statistics)
    metric.update(random_images(1, 0), real=False)
    with pytest.raises(ValueError, match="40 real and 1 painted"):
        metric.compute()
