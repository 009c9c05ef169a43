"""Averages of the generator's weights over iterations, and when they move."""

from collections.abc import Collection
from typing import Protocol

import torch
from torch import Tensor, nn


class EMASchedule(Protocol):
    """How much of the average to keep after each iteration."""

    def decay(self, iteration: int) -> float | None:
        """Return the share kept (0 copies the generator), or None for no change.

        Args:
            iteration: the one just finished, counted from 0.
        """
        ...


class WarmupEMA:
    """Move at every iteration; early on the average is short: ``min(beta, (1 + i) / (10 + i))``.

    Args:
        beta: share of the average kept at each iteration, in [0, 1).

    Raises:
        ValueError: if `beta` is out of range.
    """

    def __init__(self, beta: float = 0.999) -> None:
        if not 0 <= beta < 1:
            raise ValueError(f"beta must be in [0, 1); got {beta}")
        self.beta = beta

    def decay(self, iteration: int) -> float:
        """Return the share kept after `iteration`."""
        return min(self.beta, (1 + iteration) / (10 + iteration))


class RampEMA:
    """Move at every iteration, with a half-life that grows with the run: ``2^(-1 / half-life)``.

    Args:
        half_life: of what the average has kept, at most, in iterations.
        fraction: half-life as a share of the iterations done so far.

    Raises:
        ValueError: if a number is not positive.

    Source: StyleGAN2-ADA (Karras et al. 2020) and R3GAN, which count images.
    """

    def __init__(self, half_life: float = 1_000, fraction: float = 0.05) -> None:
        if half_life <= 0 or fraction <= 0:
            raise ValueError(
                f"half_life and fraction must be positive; got {half_life} and {fraction}"
            )
        self.half_life = half_life
        self.fraction = fraction

    def decay(self, iteration: int) -> float:
        """Return the share kept after `iteration`."""
        return 0.5 ** (1 / min(self.half_life, self.fraction * (iteration + 1)))


class HalfLifeEMA:
    """Move at every iteration by a half-life in images, which may grow with the run.

    After n images, b of them in each iteration, ``2^(-b / min(1000 thousands, ramp_up n))`` is
    kept; n does not count the images of the present iteration, so the first one is copied. Where
    the batch has changed, n is what it would be had all batches been of the present size.

    Args:
        thousands: half-life of what the average has kept, in thousands of images.
        batch_size: images of an iteration, over all processes.
        ramp_up: half-life, at most, as a share of the images so far; None: constant from the start.

    Raises:
        ValueError: if a number is not positive.

    Source: StyleGAN2-ADA (Karras et al. 2020), its ``ema_kimg`` and ``ema_rampup``.
    """

    def __init__(self, thousands: float, batch_size: int, ramp_up: float | None = 0.05) -> None:
        if min(thousands, batch_size, 1 if ramp_up is None else ramp_up) <= 0:
            raise ValueError(
                "thousands, batch_size and ramp_up must be positive; "
                f"got {thousands}, {batch_size} and {ramp_up}"
            )
        self.num_images = 1000 * thousands
        self.batch_size = batch_size
        self.ramp_up = ramp_up

    def decay(self, iteration: int) -> float:
        """Return the share kept after `iteration`."""
        half_life = self.num_images
        if self.ramp_up is not None:
            half_life = min(half_life, self.ramp_up * iteration * self.batch_size)
        return 0.5 ** (self.batch_size / half_life) if half_life else 0.0


class ReleasedEMA:
    """The released code's schedule: late, sparse, with hard resets at first.

    After iteration i the average moves by `beta` if i is a multiple of `every` and larger than
    `start`; it is reset to the generator if ``i % reset_every == 2`` and ``i <= reset_until``.

    Args:
        beta: share kept when it moves, in [0, 1).
        every: iterations between moves.
        start: no move up to here.
        reset_every: iterations between resets.
        reset_until: no reset after this.

    Raises:
        ValueError: if a number is out of range.
    """

    def __init__(
        self,
        beta: float = 0.995,
        every: int = 10,
        start: int = 20_000,
        reset_every: int = 1_000,
        reset_until: int = 25_000,
    ) -> None:
        if not 0 <= beta < 1:
            raise ValueError(f"beta must be in [0, 1); got {beta}")
        if every < 1 or reset_every < 1:
            raise ValueError(
                f"every and reset_every must be at least 1; got {every} and {reset_every}"
            )
        self.beta = beta
        self.every = every
        self.start = start
        self.reset_every = reset_every
        self.reset_until = reset_until

    def decay(self, iteration: int) -> float | None:
        """Return the share kept after `iteration`, 0 for a reset, None for no change."""
        if iteration <= self.reset_until and iteration % self.reset_every == 2:
            return 0.0
        if iteration % self.every == 0 and iteration > self.start:
            return self.beta
        return None


@torch.no_grad()
def move_average(
    average: nn.Module, current: nn.Module, decay: float, copied: Collection[str] = ()
) -> None:
    """Set every floating tensor of `average` to ``decay · average + (1 - decay) · current``.

    Parameters and buffers alike; integer buffers are copied. Buffers that are not finite, such as
    a normalisation's statistics of a batch whose update was skipped, go back to the average's.

    Args:
        average: changed in place.
        current: a module of the same structure.
        decay: share kept, in [0, 1).
        copied: names of tensors that are taken as they are.
    """
    kept, fresh = _tensors(average), _tensors(current)
    for name, buffer in current.named_buffers():
        if buffer.is_floating_point():
            buffer.copy_(torch.where(buffer.isfinite(), buffer, kept[name]))
    floating = [n for n, t in kept.items() if t.is_floating_point() and n not in copied]
    torch._foreach_lerp_(
        [kept[name] for name in floating], [fresh[name] for name in floating], 1 - decay
    )
    for name in kept.keys() - set(floating):
        kept[name].copy_(fresh[name])


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}
