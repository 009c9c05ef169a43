import numpy as np
import pytest
import torch
from torch import Tensor

from fpainter.evaluation.metrics.extrapolation import fid_infinity
from fpainter.evaluation.metrics.frechet import Moments, frechet_distance, matrix_sqrt
from tests.evaluation.toys import moments
from tests.reference.frechet import exact_frechet_distance


def sample(num: int, dim: int, seed: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(num, dim, generator=generator, dtype=torch.float64)


def test_value_and_standard_error_are_those_of_the_least_squares_line() -> None:
    result = fid_infinity(moments(sample(60, 8, 1)), sample(100, 8, 2), 6)
    x, y = 1 / np.array(result.sizes), np.array(result.scores)
    spread = np.square(x - x.mean()).sum()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / spread
    value = y.mean() - slope * x.mean()
    variance = np.square(y - value - slope * x).sum() / (6 - 2)
    error = np.sqrt(variance * (1 / 6 + x.mean() ** 2 / spread))
    assert result.value == pytest.approx(value, rel=1e-10)
    assert result.standard_error == pytest.approx(error, rel=1e-10)


def test_sizes_run_evenly_from_the_smallest_to_all() -> None:
    real, fake = moments(sample(50, 4, 1)), sample(100, 4, 2)
    assert fid_infinity(real, fake, 4, smallest=40).sizes == [40, 60, 80, 100]
    assert fid_infinity(real, fake, 4).sizes == [10, 40, 70, 100]  # a tenth, as it is above 2 F
    wide_real, wide_fake = moments(sample(50, 16, 1)), sample(100, 16, 2)
    assert fid_infinity(wide_real, wide_fake, 3).sizes == [32, 66, 100]  # 2 F
    assert fid_infinity(wide_real, wide_fake[:40], 3).sizes == [20, 30, 40]  # half of M


@pytest.mark.parametrize(("num_real", "num_fake"), [(200, 90), (20, 90), (200, 24), (20, 24)])
def test_scores_are_exact_distances_of_random_subsets(num_real: int, num_fake: int) -> None:
    real, fake = sample(num_real, 32, 1), sample(num_fake, 32, 2, scale=1.3)
    result = fid_infinity(moments(real), fake, 5, smallest=8)
    assert result.scores[-1] == pytest.approx(exact_frechet_distance(real, fake), rel=1e-9)
    generator = torch.Generator().manual_seed(0)
    subset = torch.randperm(num_fake, generator=generator)[:8]
    assert result.scores[0] == pytest.approx(exact_frechet_distance(real, fake[subset]), rel=1e-9)


def test_removes_most_of_the_bias_of_a_finite_number_of_images() -> None:
    dim = 16
    real = Moments(10**9, torch.zeros(dim).double(), torch.eye(dim).double())
    truth = dim * 0.2**2
    biases, leftovers = [], []
    for seed in range(5):
        result = fid_infinity(real, sample(1000, dim, seed, scale=1.2), seed=seed)
        biases.append(result.scores[-1] - truth)
        leftovers.append(result.value - truth)
    assert sum(biases) / 5 > 0.1
    assert abs(sum(leftovers)) < 0.5 * sum(biases)


def test_cached_root_changes_nothing_and_seeds_repeat_to_the_last_digit() -> None:
    real, fake = moments(sample(60, 16, 1)), sample(100, 16, 2).float()
    first = fid_infinity(real, fake, 5)
    assert fid_infinity(real, fake, 5, sqrt_real=matrix_sqrt(real.cov)) == first
    assert fid_infinity(real, fake, 5, seed=1).value != first.value
    whole = frechet_distance(real, moments(fake))
    assert first.scores[-1] == pytest.approx(whole, rel=1e-9)


def test_bad_input_is_named() -> None:
    real, fake = moments(sample(9, 4, 1)), sample(9, 4, 2)
    with pytest.raises(ValueError, match=r"\[M 4\], got \(9, 5\)"):
        fid_infinity(real, sample(9, 5, 2))
    with pytest.raises(ValueError, match="num_points=2"):
        fid_infinity(real, fake, num_points=2)
    with pytest.raises(ValueError, match="smallest=9, M=9"):
        fid_infinity(real, fake, smallest=9)
    with pytest.raises(ValueError, match="smallest=1, M=2"):
        fid_infinity(real, fake[:2])
    with pytest.raises(ValueError, match="and 1 real"):
        fid_infinity(Moments(1, real.mean, real.cov), fake)
