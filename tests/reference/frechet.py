"""The Fréchet distance of two samples, exact whatever the number of images and features."""

import torch
from torch import Tensor


def exact_frechet_distance(real: Tensor, fake: Tensor) -> float:
    """Compute it from singular values, without any covariance, matrix root or eigenvalue.

    With centred features A `[n F]`, B `[m F]` the covariances are AᵀA/(n−1) and BᵀB/(m−1), their
    traces sums of squares, and tr √(Σ_A Σ_B) = Σ singular values of A Bᵀ / √((n−1)(m−1)).
    """
    a, b = real.double(), fake.double()
    difference = (a.mean(0) - b.mean(0)).square().sum()
    a, b = a - a.mean(0), b - b.mean(0)
    n, m = len(a) - 1, len(b) - 1
    overlap = torch.linalg.svdvals(a @ b.T).sum() / (n * m) ** 0.5
    return float(difference + a.square().sum() / n + b.square().sum() / m - 2 * overlap)
