"""Averages made after training, against averages computed from all weights."""

import math

import pytest
import torch
from torch import Tensor

from fpainter.training.post_hoc import LONGEST, Profile, combine, kept_share, power

LENGTH = 2_000
HORIZONS = (0.05, 0.10)


def average(weights: Tensor, horizon: float, length: int) -> Tensor:
    """Average the rows of weights [T N] with the integrals of the profile, from the definition."""
    gamma = power(horizon)
    edges = (torch.arange(length + 1, dtype=torch.float64) / length) ** (gamma + 1)
    return edges.diff() @ weights[:length]


@pytest.fixture(scope="module")
def walk() -> Tensor:
    """A random walk far from 0, float64 [T 50]."""
    steps = torch.randn(LENGTH, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return 1_000 + steps.cumsum(dim=0)


@pytest.mark.parametrize("horizon", [0.01, 0.05, 0.2, LONGEST])
def test_the_horizon_is_the_standard_deviation_of_the_profile(horizon: float) -> None:
    gamma = power(horizon)
    assert gamma >= 0
    time = (torch.arange(1_000_000, dtype=torch.float64) + 0.5) / 1_000_000
    density = (gamma + 1) * time**gamma
    mean = (time * density).mean()
    deviation = ((time - mean).square() * density).mean().sqrt()
    assert float(deviation) == pytest.approx(horizon, rel=1e-6)


def test_powers_of_the_paper() -> None:
    """γ of the two averages that EDM2 keeps (appendix C: 16.97 and 6.94)."""
    assert [round(power(horizon), 2) for horizon in HORIZONS] == [16.97, 6.94]


@pytest.mark.parametrize("horizon", [0.0, -0.1, 0.29, math.nan])
def test_horizons_are_checked(horizon: float) -> None:
    with pytest.raises(ValueError, match=r"above 0 and at most 0\.2887"):
        power(horizon)


@pytest.mark.parametrize("horizon", HORIZONS)
def test_the_running_average_is_the_profiles(horizon: float, walk: Tensor) -> None:
    running = torch.zeros(50, dtype=torch.float64)
    for index, weights in enumerate(walk):
        kept = kept_share(Profile(horizon, index + 1))
        running = kept * running + (1 - kept) * weights
    torch.testing.assert_close(running, average(walk, horizon, LENGTH), rtol=1e-12, atol=0)


def stored(walk: Tensor, num: int, drop: int = 0) -> tuple[list[Profile], Tensor]:
    lengths = [LENGTH * (i + 1) // num for i in range(num - drop)]
    profiles = [Profile(horizon, length) for length in lengths for horizon in HORIZONS]
    return profiles, torch.stack([average(walk, *profile) for profile in profiles])


@pytest.mark.parametrize("horizon", [0.03, 0.07, 0.08, 0.15, 0.2])
def test_other_horizons_come_out_of_the_stored_ones(horizon: float, walk: Tensor) -> None:
    profiles, averages = stored(walk, 32)
    weights, misfit = combine(profiles, Profile(horizon, LENGTH))
    got, expected = weights @ averages, average(walk, horizon, LENGTH)
    nearest = min(HORIZONS, key=lambda other: abs(other - horizon))
    unlike = (average(walk, nearest, LENGTH) - expected).norm()
    assert (got - expected).norm() < 0.01 * unlike
    assert misfit < 0.02


@pytest.mark.parametrize("index", [0, 7, 31])
def test_a_stored_average_is_taken_as_it_is(index: int, walk: Tensor) -> None:
    profiles, averages = stored(walk, 16)
    weights, misfit = combine(profiles, profiles[index])
    assert misfit < 1e-7
    torch.testing.assert_close(weights @ averages, averages[index], rtol=1e-12, atol=0)


def test_the_weights_sum_to_one_however_bad_the_fit(walk: Tensor) -> None:
    """So the average of weights that stand still is these weights."""
    profiles, _ = stored(walk, 3)
    weights, misfit = combine(profiles, Profile(0.02, LENGTH))
    assert misfit > 0.2
    assert float(weights.sum()) == pytest.approx(1, rel=1e-12)


def test_the_misfit_is_the_distance_of_the_profiles(walk: Tensor) -> None:
    profiles, _ = stored(walk, 4, drop=1)
    wanted = Profile(0.08, LENGTH)
    weights, misfit = combine(profiles, wanted)
    time = (torch.arange(400_000, dtype=torch.float64) + 0.5) / 400_000 * LENGTH

    def curve(profile: Profile) -> Tensor:
        inside = (time / profile.length) ** power(profile.horizon) / profile.length
        return torch.where(time <= profile.length, inside * (power(profile.horizon) + 1), 0.0)

    pairs = zip(weights, profiles, strict=True)
    combined = torch.stack([weight * curve(profile) for weight, profile in pairs]).sum(dim=0)
    distance = (combined - curve(wanted)).norm() / curve(wanted).norm()
    assert misfit == pytest.approx(float(distance), rel=1e-4)
