"""Linear maps from a signal of some entries to one of more entries."""

import torch
from torch import Tensor


def linear_interpolation(new: int, old: int) -> Tensor:
    """Return the matrix of linear interpolation, its samples at pixel centres, edges clamped.

    Args:
        new: entries of the result, at least 1.
        old: entries of the signal, at least 1.

    Returns:
        [new old] float64; every row has the sum 1.
    """
    return interpolation_at((torch.arange(new, dtype=torch.float64) + 0.5) / new, old)


def interpolation_at(places: Tensor, old: int) -> Tensor:
    """Return the matrix of linear interpolation at any places, edges clamped.

    Args:
        places: [N] float64 in [0, 1], parts of the signal's length.
        old: entries of the signal, at least 1.

    Returns:
        [N old] float64; every row has the sum 1.
    """
    centres = (places * old - 0.5).clamp(0, old - 1)
    distances = (centres[:, None] - torch.arange(old, dtype=torch.float64)).abs()
    return (1 - distances).clamp(min=0)


def isometric_interpolation(new: int, old: int) -> Tensor:
    """Return the matrix U nearest to linear interpolation that keeps inner products.

    ``U = sqrt(s) L (L^T L)^(-1/2)`` for ``s = new / old``, so ``U^T U = s I``: a signal sampled s
    times as finely has s times the inner products, and rank-1 updates that read what others have
    written find the same.

    Args:
        new: entries of the result, at least `old`.
        old: entries of the signal.

    Returns:
        [new old] float64.

    Raises:
        ValueError: if the result would have fewer entries.
    """
    if new < old:
        raise ValueError(f"{old} entries cannot become {new} without loss")
    left, _, right = torch.linalg.svd(linear_interpolation(new, old), full_matrices=False)
    return left @ right * (new / old) ** 0.5
