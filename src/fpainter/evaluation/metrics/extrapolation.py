"""Scores at infinitely many images, extrapolated from scores at some."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fpainter.evaluation.metrics import frechet


class Extrapolated(NamedTuple):
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
    sizes: list[int]
    scores: list[float]


def fid_infinity(
    real: frechet.Moments,
    fake_features: Tensor,
    num_points: int = 15,
    smallest: int | None = None,
    seed: int = 0,
    sqrt_real: Tensor | None = None,
) -> Extrapolated:
    """Return the FID of infinitely many painted images: value, where FID(n) = value + slope / n.

    The line goes through the FIDs of some numbers of images n by least squares.

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
    root = frechet.matrix_sqrt(real.cov) if sqrt_real is None else sqrt_real
    generator = torch.Generator().manual_seed(seed)
    sizes = [smallest + i * (num - smallest) // (num_points - 1) for i in range(num_points)]
    scores = []
    for size in sizes:
        subset = torch.randperm(num, generator=generator)[:size].to(fake_features.device)
        running = frechet.RunningMoments(dim)
        running.add(fake_features[subset].cpu())
        scores.append(frechet.frechet_distance(real, running.moments(), root))
    (_, value), covariance = np.polyfit(1 / np.array(sizes), scores, 1, cov=True)
    return Extrapolated(float(value), float(covariance[1, 1]) ** 0.5, sizes, scores)
