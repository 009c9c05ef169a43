"""Schedules of the running average, and the average itself."""

import math

import pytest
import torch
from torch import nn

from fpainter.training.ema import HalfLifeEMA, RampEMA, ReleasedEMA, WarmupEMA, move_average


def test_warmup_starts_short_and_ends_at_beta() -> None:
    schedule = WarmupEMA(beta=0.9)
    assert [round(schedule.decay(i), 3) for i in (0, 8, 1000)] == [0.1, 0.5, 0.9]


def test_ramp_has_the_half_life_it_names() -> None:
    """Kept over as many iterations as the half-life, half is left."""
    schedule = RampEMA(half_life=50, fraction=0.1)
    assert schedule.decay(99) ** 10 == pytest.approx(0.5)
    assert schedule.decay(499) ** 50 == pytest.approx(0.5)
    assert schedule.decay(10_000) == schedule.decay(499) > schedule.decay(498)
    assert 0 <= schedule.decay(0) < 0.01
    with pytest.raises(ValueError, match="half_life and fraction must be positive; got 0 and"):
        RampEMA(half_life=0)


def test_half_lives_count_images_and_grow_with_the_run() -> None:
    schedule = HalfLifeEMA(thousands=2, batch_size=8, ramp_up=0.1)
    assert schedule.decay(0) == 0
    assert schedule.decay(50) ** 5 == pytest.approx(0.5)  # 0.1 of 400 images
    assert schedule.decay(100_000) ** 250 == pytest.approx(0.5)
    assert HalfLifeEMA(2, 8, ramp_up=None).decay(0) ** 250 == pytest.approx(0.5)
    with pytest.raises(ValueError, match=r"must be positive; got 2, 0 and 0\.05"):
        HalfLifeEMA(2, 0)


def test_released_schedule() -> None:
    schedule = ReleasedEMA()
    moved = {i: schedule.decay(i) for i in range(30_000) if schedule.decay(i) is not None}
    assert [i for i, decay in moved.items() if decay == 0.0] == [
        *range(2, 25_000, 1_000)
    ]  # ... 23 002, 24 002; 25 002 lies after the last
    assert [i for i, decay in moved.items() if decay == 0.995] == [*range(20_010, 30_000, 10)]


def test_average_takes_parameters_and_buffers() -> None:
    average, current = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    with torch.no_grad():
        current.weight.fill_(3.0)
        assert current.running_mean is not None
        assert current.num_batches_tracked is not None
        current.running_mean.fill_(2.0)
        current.num_batches_tracked.fill_(7)
    move_average(average, current, decay=0.75)
    torch.testing.assert_close(average.weight.detach(), torch.full((3,), 1.5))
    torch.testing.assert_close(average.running_mean, torch.full((3,), 0.5))
    assert average.num_batches_tracked == 7
    move_average(average, current, decay=0.0)
    torch.testing.assert_close(average.weight, current.weight)


def test_statistics_of_a_skipped_batch_go_back_to_the_average() -> None:
    average, current = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    for module, mean in ((average, [1.0, 1.0]), (current, [math.nan, 3.0])):
        assert module.running_mean is not None
        module.running_mean.copy_(torch.tensor(mean))
    move_average(average, current, decay=0.5)
    torch.testing.assert_close(current.running_mean, torch.tensor([1.0, 3.0]))
    torch.testing.assert_close(average.running_mean, torch.tensor([1.0, 2.0]))


@pytest.mark.parametrize("name", ["every", "reset_every"])
def test_intervals_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match="every and reset_every must be at least 1"):
        ReleasedEMA(**{name: 0})


@pytest.mark.parametrize("schedule", [WarmupEMA, ReleasedEMA])
def test_beta_is_checked(schedule: type) -> None:
    with pytest.raises(ValueError, match=r"beta must be in \[0, 1\)"):
        schedule(beta=1.0)
