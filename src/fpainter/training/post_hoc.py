"""Averages of weights whose horizon is chosen after training, out of those that were stored.

The power function average over t iterations weighs the weights after iteration i by
``p(τ) = (γ + 1) τ^γ / t^(γ+1)``, integrated over ``(i − 1, i]``. Unlike an exponential one it is
the same curve whatever the length of training. Its *horizon* is the standard deviation of p
relative to t: 0.05 averages over roughly the last tenth of all iterations.

Source: Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models" (EDM2,
CVPR 2024), section 3 and appendix C, where the horizon is called σ_rel. Their least squares leave
the sum of the combination's weights free; here it is 1, as that of every average.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

LONGEST = 12**-0.5  # of the plain mean of all iterations, γ = 0


class Profile(NamedTuple):
    """Which average: that of a horizon over some iterations.

    Attributes:
        horizon: standard deviation relative to the iterations averaged, in (0, 0.2886].
        length: iterations averaged, at least 1.
    """

    horizon: float
    length: int


class Combination(NamedTuple):
    """How an average is made of others.

    Attributes:
        weights: of the given ones, float64 [N]; their sum is 1.
        misfit: distance of the combined profile from the wanted one relative to the wanted one's
            norm, in the L2 norm; 0 where they agree.
    """

    weights: Tensor
    misfit: float


def power(horizon: float) -> float:
    """Return γ, at least 0, of the power function with this horizon.

    The horizon is ``sqrt(γ + 1) / ((γ + 2) sqrt(γ + 3))``, so γ is the largest root of
    ``γ³ + 7γ² + (16 − 1/σ²)γ + (12 − 1/σ²)``.

    Args:
        horizon: standard deviation relative to the length, in (0, 0.2886].

    Raises:
        ValueError: if there is no such average.
    """
    if not 0 < horizon <= LONGEST:
        raise ValueError(f"a horizon must be above 0 and at most {LONGEST:.4f}; got {horizon}")
    inverse = horizon**-2
    roots = np.roots([1.0, 7.0, 16.0 - inverse, 12.0 - inverse])
    return max(0.0, float(np.max(roots.real)))


def kept_share(profile: Profile) -> float:
    """Return how much of the average to keep when it takes in the last iteration of a profile.

    ``β(t) = (1 − 1/t)^(γ+1)``: 0 at t = 1, so the first iteration is copied.
    """
    return (1 - 1 / profile.length) ** (power(profile.horizon) + 1)


def combine(stored: Sequence[Profile], wanted: Profile) -> Combination:
    """Return the weighted sum of stored averages that comes nearest to a wanted one.

    Least squares over the profiles as functions on ``(0, t]``, with a sum of 1. Since the weights
    of single iterations are their integrals, they are at least as near.

    Args:
        stored: distinct profiles, at least one, counted from the same iteration.
        wanted: the profile to come near to.

    Raises:
        ValueError: if a horizon is out of range.
    """
    norms = _overlaps([*stored, wanted], [*stored, wanted]).diagonal().sqrt()
    scale = norms[:-1] / norms[-1]
    overlaps = _overlaps(stored, [*stored, wanted]) / (norms[:-1, None] * norms)
    gram, target = overlaps[:, :-1], overlaps[:, -1]
    # The stationary point of the squared distance with a Lagrange multiplier for the sum; unknown
    # are the weights times `scale`.
    sums = scale.reciprocal()[:, None]
    system = torch.cat(
        [torch.cat([gram, sums], dim=1), torch.cat([sums.T, sums.new_zeros(1, 1)], dim=1)]
    )
    right = torch.cat([target, target.new_ones(1)])[:, None]
    scaled = torch.linalg.lstsq(system, right, driver="gelsd").solution[:-1, 0]
    squared = 1 - 2 * scaled @ target + scaled @ gram @ scaled
    return Combination(scaled / scale, math.sqrt(max(0.0, float(squared))))


def _overlaps(first: Sequence[Profile], second: Sequence[Profile]) -> Tensor:
    """Return the inner products of profiles, float64 [N M].

    ``∫ p_a p_b dτ = (a + 1)(b + 1) / (a + b + 1) · (s / l)^γ / l``, with s the shorter length, l
    the longer, and γ the power of the longer one.
    """
    a, length_a = (column[:, None] for column in _powers_and_lengths(first))
    b, length_b = _powers_and_lengths(second)
    longer = torch.maximum(length_a, length_b)
    ratio = torch.minimum(length_a, length_b) / longer
    decline = ratio ** torch.where(length_a < length_b, b, a)
    return (a + 1) * (b + 1) / (a + b + 1) * decline / longer


def _powers_and_lengths(profiles: Sequence[Profile]) -> tuple[Tensor, Tensor]:
    powers = [power(profile.horizon) for profile in profiles]
    lengths = [profile.length for profile in profiles]
    return torch.tensor(powers, dtype=torch.float64), torch.tensor(lengths, dtype=torch.float64)
