"""Factors that change while a run goes on, as functions of the iteration alone."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from torch.optim import Optimizer

from fpainter.losses.regularisers import InputGradientPenalty
from fpainter.training.optimiser import scale_rates

Schedule = Callable[[int], float]

SCHEDULED = ("generator_lr", "discriminator_lr", "penalty")
# Iterations over which the rate of a generator that has grown rises from nothing: Adam's first
# steps on weights that it knows nothing of are as long as its longest, and a discriminator with new
# layers misleads at first.
EASING = 100


def chosen(
    schedules: Mapping[str, Schedule | None] | None, regulariser: InputGradientPenalty | None
) -> dict[str, Schedule]:
    """Return the schedules that are not None.

    Raises:
        ValueError: if there is nothing that one could belong to.
    """
    found = {name: each for name, each in (schedules or {}).items() if each is not None}
    for name in found:
        if name not in SCHEDULED:
            raise ValueError(f"schedules: {name!r} must be one of {list(SCHEDULED)}")
    if "penalty" in found and regulariser is None:
        raise ValueError("schedules.penalty needs model.regulariser, and there is none")
    return found


def factor_at(schedules: Mapping[str, Schedule], name: str, iteration: int) -> float:
    """Return a schedule's factor at an iteration; 1 if there is no such schedule."""
    return schedules[name](iteration) if name in schedules else 1.0


def follow(
    schedules: Mapping[str, Schedule],
    iteration: int,
    optimisers: Mapping[str, Optimizer],
    regulariser: InputGradientPenalty | None,
    grown_at: int | None = None,
) -> dict[str, float]:
    """Set the learning rates that change to their values at an iteration.

    Args:
        schedules: by name.
        iteration: counted from 0.
        optimisers: by player.
        regulariser: what a schedule of the penalty belongs to.
        grown_at: the first iteration of a generator that has grown, whose rate is eased in.

    Returns:
        What has a schedule, by the names that are reported.
    """
    values = {}
    for player, optimiser in optimisers.items():
        scheduled = f"{player}_lr" in schedules
        eases = player == "generator" and grown_at is not None
        if scheduled or eases:
            factor = factor_at(schedules, f"{player}_lr", iteration)
            if grown_at is not None and eases:
                factor *= min((iteration - grown_at + 1) / EASING, 1.0)
            rate = scale_rates(optimiser, factor)
            if scheduled:
                values[f"lr/{player}"] = rate
    if "penalty" in schedules and regulariser is not None:
        factor = factor_at(schedules, "penalty", iteration)
        values["penalty_weight"] = factor * regulariser.weight
    return values


class Transition(ABC):
    """What goes from one factor to another within a part of the run, and stays before and after.

    Args:
        end: factor from `until` on, at least 0.
        num_iterations: of the whole run.
        start: factor up to `begin`, at least 0.
        begin: share of the run at which it leaves `start`, in [0, until).
        until: share at which it reaches `end`, in (begin, 1].

    Raises:
        ValueError: if a number is out of range.
    """

    def __init__(
        self,
        end: float,
        num_iterations: int,
        start: float = 1.0,
        begin: float = 0.0,
        until: float = 1.0,
    ) -> None:
        if start < 0 or end < 0:
            raise ValueError(f"start and end must be at least 0; got {start} and {end}")
        if num_iterations < 1:
            raise ValueError(f"num_iterations must be at least 1; got {num_iterations}")
        if not 0 <= begin < until <= 1:
            raise ValueError(
                f"begin and until must be 0 <= begin < until <= 1; got {begin} and {until}"
            )
        self.start, self.end = start, end
        self.begin, self.until = begin, until
        self.num_iterations = num_iterations

    def __call__(self, iteration: int) -> float:
        """Return the factor at an iteration, counted from 0."""
        share = (iteration / self.num_iterations - self.begin) / (self.until - self.begin)
        return self.start + (self.end - self.start) * self.way(min(max(share, 0.0), 1.0))

    @abstractmethod
    def way(self, share: float) -> float:
        """Return how much of the way, in [0, 1], is done at a share of the time, in [0, 1]."""


class Ramp(Transition):
    """A straight line."""

    def way(self, share: float) -> float:
        """Return the share itself."""
        return share


class Cosine(Transition):
    """Half a cosine: level at both ends.

    Source: Loshchilov & Hutter 2017 (SGDR), without its restarts.
    """

    def way(self, share: float) -> float:
        """Return ``(1 - cos(pi share)) / 2``."""
        return (1 - math.cos(math.pi * share)) / 2
