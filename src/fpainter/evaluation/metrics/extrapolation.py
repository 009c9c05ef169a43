"""Scores at infinitely many images, extrapolated from scores at some."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fpainter.evaluation.metrics.frechet import (
    Moments,
    RunningMoments,
    frechet_distance,
    matrix_sqrt,
)


@dataclass(frozen=True)
class Extrapolated:
    """A score extrapolated over 1/n to infinitely many images.

    Attributes:
        value: intercept of the line.
        standard_error: of the intercept, from the points' scatter about the line. Points share
            images, and another set of images moves them all; that error is not in it.
        sizes: n of each point.
        scores: score of each point.
    """

    value: float
    standard_error: float
    sizes: tuple[int, ...]
    scores: tuple[float, ...]


def extrapolate(sizes: Sequence[int], scores: Sequence[float]) -> Extrapolated:
    """Fit score(n) = value + slope / n by least squares.

    Args:
        sizes: numbers of images n ≥ 1, at least 3 of them and not all the same.
        scores: at these numbers of images.

    Returns:
        The intercept with its standard error, and the points.

    Raises:
        ValueError: if the sizes are too few, equal or below 1, or not as many as the scores.
    """
    if len(sizes) != len(scores) or len(sizes) < 3 or len(set(sizes)) < 2 or min(sizes) < 1:
        raise ValueError(
            "need at least 3 sizes ≥ 1, not all the same, and as many scores, got "
            f"sizes {list(sizes)} and {len(scores)} scores"
        )
    x = 1 / torch.tensor(sizes, dtype=torch.float64)
    y = torch.tensor(scores, dtype=torch.float64)
    spread = (x - x.mean()).square().sum()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / spread
    value = y.mean() - slope * x.mean()
    variance = (y - value - slope * x).square().sum() / (len(x) - 2)
    error = (variance * (1 / len(x) + x.mean().square() / spread)).sqrt()
    return Extrapolated(float(value), float(error), tuple(sizes), tuple(scores))


def fid_infinity(
    real: Moments,
    fake_features: Tensor,
    num_points: int = 15,
    smallest: int | None = None,
    seed: int = 0,
    sqrt_real: Tensor | None = None,
) -> Extrapolated:
    """Return the FID of infinitely many painted images; its bias in n of them is about slope / n.

    Args:
        real: moments of the real images; their own number still biases the value.
        fake_features: [M F] of any floating type.
        num_points: sizes evenly spaced from `smallest` to M, each with a random subset of its own;
            at least 3.
        smallest: number of images at the first point, in [2, M). Below about 2 F the bias is no
            longer slope / n and the value comes out wrong; None takes the paper's tenth of M, but
            2 F where M allows: max(M // 10, min(2 F, M // 2)).
        seed: of the subsets.
        sqrt_real: ``matrix_sqrt(real.cov)`` [F F] float64 if it is at hand; None computes it.

    Returns:
        The FID at infinity and the points it comes from.

    Raises:
        ValueError: if a number is out of range, there are fewer than 2 real images, or real and
            painted features differ in number.

    Source:
        Chong and Forsyth 2020, whose fakes come from Sobol points; here they are taken as given.
    """
    dim = len(real.mean)
    if fake_features.ndim != 2 or fake_features.shape[1] != dim:
        raise ValueError(f"need painted features [M {dim}], got {tuple(fake_features.shape)}")
    num = len(fake_features)
    if smallest is None:
        smallest = max(num // 10, min(2 * dim, num // 2))
    if num_points < 3 or not 2 <= smallest < num or real.num < 2:
        raise ValueError(
            "need num_points ≥ 3, 2 ≤ smallest < M and at least 2 real images, got "
            f"{num_points=}, {smallest=}, M={num} and {real.num} real"
        )
    root = matrix_sqrt(real.cov) if sqrt_real is None else sqrt_real
    generator = torch.Generator().manual_seed(seed)
    sizes = [smallest + i * (num - smallest) // (num_points - 1) for i in range(num_points)]
    scores = []
    for size in sizes:
        subset = torch.randperm(num, generator=generator)[:size].to(fake_features.device)
        scores.append(_fid(real, fake_features[subset].cpu(), root))
    return extrapolate(sizes, scores)


def _fid(real: Moments, features: Tensor, root: Tensor) -> float:
    """Return the FID of features [n F] with root = √Σ_r.

    Up to n = F the n × n matrix A S Sᵀ Aᵀ, A the centred features over √(n − 1), is the smaller one
    with the non-zero eigenvalues of S Σ_f S.
    """
    num, dim = features.shape
    if num > dim:
        running = RunningMoments(dim)
        running.add(features)
        return frechet_distance(real, running.moments(), root)
    x = features.double()
    mean = x.mean(dim=0)
    a = (x - mean) / (num - 1) ** 0.5
    projected = a @ root
    eigenvalues = torch.linalg.eigvalsh(projected @ projected.T)  # ascending
    overlap = eigenvalues[-min(num - 1, real.num - 1) :].clamp_min(0).sqrt().sum()
    distance = (real.mean - mean).square().sum()
    return float(distance + real.cov.trace() + a.square().sum() - 2 * overlap)
