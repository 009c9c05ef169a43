"""Vectors along an image's side as sums of cosines."""

import math

import torch
from torch import Tensor


def cosine_basis(side: int, decay: float = 1.0) -> Tensor:
    """Return the cosines of all frequencies, sampled at the middle of each pixel.

    Row f is ``(1 + f)^-decay * sqrt(2) cos(pi f x)``, without the root for f = 0, at ``x = (i +
    1/2) / side``. Without the factor in front the rows have equal length and are orthogonal (the
    discrete cosine transform), and a row of a larger side is the same wave, sampled more finely.

    Args:
        side: pixels, and frequencies.
        decay: how fast amplitudes fall with the frequency; those of natural images do with about 1
            (Field 1987).

    Returns:
        [side side] float32, frequencies by pixels.
    """
    return cosines(side, (torch.arange(side, dtype=torch.float64) + 0.5) / side, decay).float()


def cosines(num: int, places: Tensor, decay: float = 1.0) -> Tensor:
    """Return the cosines of `cosine_basis` at any places.

    Args:
        num: frequencies, from 0 up.
        places: x [N] float64 in [0, 1].
        decay: as for `cosine_basis`.

    Returns:
        [num N] float64.
    """
    frequency = torch.arange(num, dtype=torch.float64)[:, None]
    waves = torch.cos(math.pi * frequency * places) * 2**0.5
    waves[0] = 1.0
    return waves * (1 + frequency) ** -decay
