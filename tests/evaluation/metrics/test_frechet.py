import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_fid import (
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)
from torchmetrics.image.fid import _compute_fid

from fpainter.evaluation.metrics.frechet import RunningMoments, frechet_distance, matrix_sqrt
from tests.evaluation.toys import moments
from tests.reference.frechet import exact_frechet_distance


def sample(num: int, features: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(features, features, generator=generator, dtype=torch.float64)
    x = torch.randn(num, features, generator=generator, dtype=torch.float64)
    return x @ mixing / features**0.5 + 0.1 * seed


@pytest.mark.parametrize(
    ("num_real", "num_fake", "features"),
    [(200, 150, 16), (30, 200, 64), (200, 30, 64), (20, 25, 64), (2, 2, 16), (5, 3, 1)],
)
def test_equals_the_exact_distance_even_with_fewer_images_than_features(
    num_real: int, num_fake: int, features: int
) -> None:
    real, fake = sample(num_real, features, 1), sample(num_fake, features, 2)
    expected = exact_frechet_distance(real, fake)
    assert frechet_distance(moments(real), moments(fake)) == pytest.approx(expected, rel=1e-9)


def test_cached_root_changes_nothing_and_squares_to_the_covariance() -> None:
    real, fake = moments(sample(100, 32, 1)), moments(sample(90, 32, 2))
    root = matrix_sqrt(real.cov)
    torch.testing.assert_close(root @ root, real.cov)
    assert frechet_distance(real, fake, root) == frechet_distance(real, fake)


def test_equals_torchmetrics() -> None:
    real, fake = moments(sample(300, 64, 1)), moments(sample(400, 64, 2))
    expected = float(_compute_fid(real.mean, real.cov, fake.mean, fake.cov))
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-9)


def test_equals_torch_fidelity() -> None:
    real, fake = sample(300, 64, 1), sample(400, 64, 2)
    statistics = [fid_features_to_statistics(features) for features in (real, fake)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]
    assert frechet_distance(moments(real), moments(fake)) == pytest.approx(expected, rel=1e-9)


def test_is_symmetric_and_zero_for_identical_samples() -> None:
    a, b = moments(sample(100, 32, 1)), moments(sample(20, 32, 2))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-8)
    assert frechet_distance(b, b) == pytest.approx(0, abs=1e-8)


def test_streamed_moments_survive_a_mean_far_from_zero() -> None:
    x = sample(100, 8, 1)
    streamed = moments(x + 1e6)
    torch.testing.assert_close(streamed.cov, torch.cov(x.T), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(streamed.mean, x.mean(0) + 1e6, rtol=1e-12, atol=0)
    assert streamed.num == 100


def test_too_few_images_and_unequal_features_are_errors() -> None:
    one = RunningMoments(4)
    one.add(torch.ones(1, 4))
    with pytest.raises(ValueError, match="at least 2 feature vectors, got 1"):
        one.moments()
    many, other = moments(sample(9, 4, 1)), moments(sample(9, 5, 1))
    with pytest.raises(ValueError, match="4 features, painted ones 5"):
        frechet_distance(many, other)
    single = type(many)(1, many.mean, many.cov)
    with pytest.raises(ValueError, match="at least 2 images on both sides, got 9 real and 1"):
        frechet_distance(many, single)
