import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics.image.fid import FrechetInceptionDistance

from fpainter.evaluation.features import Features
from fpainter.evaluation.metrics.fid import PaintedFID, _note_small_sample
from fpainter.evaluation.protocols import Protocol
from fpainter.generators.latents import latents
from tests.evaluation.toys import TinyExtractor, ToyImages, random_images, toy_features
from tests.reference.frechet import exact_frechet_distance

D_LATENT = 6


def paint(z: Tensor) -> Tensor:
    mixing = torch.randn(D_LATENT, 192, generator=torch.Generator().manual_seed(5))
    return (torch.sigmoid(z @ mixing) * 255).round().to(torch.uint8).unflatten(1, (3, 8, 8))


def draw(indices: Sequence[int]) -> Tensor:
    return paint(latents(1, indices, D_LATENT))


def taken(images: Tensor, indices: Sequence[int]) -> Tensor:
    return images[list(indices)]


def loaded(cache_dir: Path, images: ToyImages | None = None, **options: Any) -> PaintedFID:
    features = toy_features(cache_dir, **{"batch_size": 8, **options})
    return PaintedFID(features, images or ToyImages())


def features_of(images: Tensor) -> Tensor:
    return TinyExtractor()(images)


def score(metric: PaintedFID, num: int = 30) -> float:
    return metric.score(draw, num)


def test_equals_torchmetrics_on_the_same_features(tmp_path: Path) -> None:
    theirs, ours = FrechetInceptionDistance(TinyExtractor()), loaded(tmp_path)
    theirs.update(ToyImages().tensor, real=True)
    for batch in random_images(50, 9).split(13):
        theirs.update(batch, real=False)
        ours.update(features_of(batch), real=False)
    value = ours.compute()
    assert value.dtype == torch.float64
    assert float(value) == pytest.approx(float(theirs.compute()), rel=1e-6)
    assert float(value) > 1e-3


def test_equals_the_exact_distance_with_fewer_images_than_features(tmp_path: Path) -> None:
    images, extractor = ToyImages(20), TinyExtractor(64)
    metric = loaded(tmp_path, images, extractor=extractor)
    fakes = random_images(15, 9)
    metric.update(extractor(fakes), real=False)
    expected = exact_frechet_distance(extractor(images.tensor), extractor(fakes))
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-8)


def test_reset_keeps_the_reals(tmp_path: Path) -> None:
    metric = loaded(tmp_path)
    first = score(metric)
    metric.update(features_of(random_images(50, 3)), real=False)
    assert score(metric) == first


def test_features_of_the_first_images_are_kept_in_their_order(tmp_path: Path) -> None:
    features = toy_features(tmp_path, batch_size=3)
    metric, images = PaintedFID(features, ToyImages(), num_kept=5), random_images(8, 9)
    for fakes in (images, images.flip(2)):
        metric.score(partial(taken, fakes), 8)
        torch.testing.assert_close(metric.sample, features_of(fakes[:5]))


def test_further_reals_count(tmp_path: Path) -> None:
    extra, fakes = random_images(30, 7), random_images(50, 9)
    metric = loaded(tmp_path)
    metric.update(features_of(extra), real=True)
    metric.update(features_of(fakes), real=False)
    reals = features_of(torch.cat([ToyImages().tensor, extra]))
    expected = exact_frechet_distance(reals, features_of(fakes))
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-8)


def test_score_is_the_distance_of_exactly_those_latents(tmp_path: Path) -> None:
    extractor = TinyExtractor()
    fakes = paint(latents(1, range(30), D_LATENT))
    expected = exact_frechet_distance(extractor(ToyImages().tensor), extractor(fakes))
    assert score(loaded(tmp_path)) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("batch", [1, 7, 30, 64])
def test_score_does_not_depend_on_the_batch_size(tmp_path: Path, batch: int) -> None:
    other = loaded(tmp_path, batch_size=batch)
    assert score(other) == pytest.approx(score(loaded(tmp_path)), rel=1e-6)


def test_fakes_go_through_the_protocol(tmp_path: Path) -> None:
    metric = loaded(tmp_path)
    plain = score(metric)
    inverted = Protocol("png", lambda images: 255 - images)
    metric.features = Features(TinyExtractor(), inverted, tmp_path)
    assert abs(score(metric) - plain) > 1e-3


def test_progress_and_a_note_about_few_images(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _note_small_sample.cache_clear()
    seen: list[tuple[str, int, int]] = []

    def report(what: str, done: int, total: int) -> None:
        seen.append((what, done, total))

    metric = loaded(tmp_path, batch_size=2, report=report)
    seen.clear()
    with caplog.at_level(logging.INFO):
        metric.score(draw, 5, "FID at step 3")
        metric.score(draw, 5)
        metric.score(draw, 9)
    assert seen[:4] == [("FID at step 3", done, 5) for done in (0, 2, 4, 5)]
    assert caplog.text.count("fewer than 8 images") == 1


def test_one_image_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="num_images must be at least 2, got 1"):
        score(loaded(tmp_path), 1)


def test_compute_without_enough_images_is_an_error(tmp_path: Path) -> None:
    metric = loaded(tmp_path)
    metric.update(features_of(random_images(1, 0)), real=False)
    with pytest.raises(ValueError, match="40 real and 1 painted"):
        metric.compute()
