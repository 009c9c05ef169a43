"""Precision, recall, density and coverage: is a painting near real images, and are all reached."""

from typing import NamedTuple

import torch
from torch import Tensor


class NeighbourScores(NamedTuple):
    """Fidelity and variety from balls around each image that reach to its k-th neighbour.

    Attributes:
        precision: share of painted images inside the ball of any real one, in [0, 1].
        recall: share of real images inside the ball of any painted one, in [0, 1].
        density: number of real balls a painted image lies in, on average and over k, in [0, N / k];
            about 1 for equal distributions, more where paintings crowd between real images.
        coverage: share of real images with a painted one in their ball, in [0, 1].
    """

    precision: float
    recall: float
    density: float
    coverage: float


def neighbour_scores(real: Tensor, fake: Tensor, k: int = 5, chunk: int = 1000) -> NeighbourScores:
    """Compare two sets of features by who lies in whose k-nearest-neighbour ball.

    The ball of an image reaches to its k-th nearest neighbour in its own set, itself not counted.
    Being on the sphere counts as inside (≤), as in Kynkäänniemi et al. and torch-fidelity; the code
    of Naeem et al. has <, which differs for images that are in both sets.

    Distances are float64 from matrix products of the centred features, good to 1e-13 of the squared
    length of a feature vector.

    Args:
        real: features [N F] of any floating type.
        fake: features [M F] on the same device.
        k: neighbours, at least 1; both papers' values are customary, 3 for precision and recall, 5
            for density and coverage.
        chunk: rows of a distance matrix held at a time. It does not change the scores, only the
            memory: 16 `chunk` max(N, M) bytes beside a float64 copy of the features.

    Returns:
        The four scores.

    Raises:
        ValueError: if N ≤ k or M ≤ k, features are not finite or differ in number, or `k` or
            `chunk` is out of range.

    Source:
        Kynkäänniemi et al. 2019, Eq. 1 and 2; Naeem et al. 2020.
    """
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise ValueError(
            f"need features [N F] and [M F], got {tuple(real.shape)} and {tuple(fake.shape)}"
        )
    if k < 1 or chunk < 1:
        raise ValueError(f"k and chunk must be at least 1, got {k=}, {chunk=}")
    if min(len(real), len(fake)) <= k:
        raise ValueError(
            f"{k} neighbours need at least {k + 1} images on both sides, got {len(real)} real and "
            f"{len(fake)} painted"
        )
    if not (real.isfinite().all() and fake.isfinite().all()):
        raise ValueError("features must be finite, got some infinite or nan")
    # Distances do not see the shift, but the products they come from cancel less.
    centre = real.double().mean(dim=0)
    x, y = real.double() - centre, fake.double() - centre
    radii_x, radii_y = _squared_radii(x, k, chunk), _squared_radii(y, k, chunk)
    num_balls = torch.zeros(len(y), dtype=torch.long, device=y.device)
    recalled = covered = 0
    for part, radii in zip(x.split(chunk), radii_x.split(chunk), strict=True):
        distances = squared_distances(part, y)  # [chunk M]
        inside_real = distances <= radii[:, None]
        num_balls += inside_real.sum(dim=0)
        covered += int(inside_real.any(dim=1).sum())
        recalled += int((distances <= radii_y).any(dim=1).sum())
    return NeighbourScores(
        precision=float((num_balls > 0).double().mean()),
        recall=recalled / len(x),
        density=float(num_balls.double().mean()) / k,
        coverage=covered / len(x),
    )


def _squared_radii(x: Tensor, k: int, chunk: int) -> Tensor:
    """Return the squared distance of each row of x [N F] to its k-th nearest other row, [N].

    Widened by 1e-12 for rounding, so that a point on the sphere counts as inside.
    """
    nearest = [
        squared_distances(part, x).topk(k + 1, largest=False).values[:, -1]  # itself is first
        for part in x.split(chunk)
    ]
    radii = torch.cat(nearest)
    return radii + 1e-12 * (radii + _squared_lengths(x))


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return |x_i|² + |y_j|² − 2 x_i·y_j, [n m]; rounding may leave −1e-13 |x|² for equal rows."""
    lengths = _squared_lengths(x)[:, None] + _squared_lengths(y)
    return lengths.addmm_(x, y.T, alpha=-2)


def _squared_lengths(x: Tensor) -> Tensor:
    """Return |x_i|², [n], without a copy of x."""
    return torch.einsum("nf,nf->n", x, x)
