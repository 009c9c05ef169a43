"""The kernel inception distance: unlike a FID it does not come out higher for fewer images."""

from typing import NamedTuple

import torch
from torch import Tensor


class KernelDistance(NamedTuple):
    """A kernel distance over random subsets.

    Attributes:
        mean: over the subsets; unbiased, so it may be negative for close distributions.
        std: of the single subsets' distances (divided by their number, not that − 1). Subsets
            overlap: std / √num_subsets is less than the error of `mean`.
        subset_size: images of each side in a subset, less than asked for if there were not as many.
    """

    mean: float
    std: float
    subset_size: int


def kernel_distance(
    real: Tensor, fake: Tensor, num_subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> KernelDistance:
    """Squared maximum mean discrepancy with the kernel k(x, y) = (xᵀy / F + 1)³, in float64.

    Each of `num_subsets` times, m images are drawn without replacement from either side:
    (Σ_{i≠j} k(x_i, x_j) + Σ_{i≠j} k(y_i, y_j)) / (m (m − 1)) − 2 Σ_{ij} k(x_i, y_j) / m².

    Args:
        real: features [N F] of any floating type.
        fake: features [M F] on the same device.
        num_subsets: at least 1.
        subset_size: m is the smallest of this (at least 2), N and M.
        seed: of the subsets, drawn on the CPU whatever the device.

    Returns:
        Mean and spread over the subsets, and m.

    Raises:
        ValueError: if a number is out of range, either side has fewer than 2 images, or their
            features differ in number.

    Source:
        Bińkowski et al. 2018. torch-fidelity and torchmetrics compute the same in the type of the
        features and refuse N < `subset_size`; clean-fid reduces m likewise and has the same
        estimate, but neither seed nor spread.
    """
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise ValueError(
            f"need features [N F] and [M F], got {tuple(real.shape)} and {tuple(fake.shape)}"
        )
    size = min(subset_size, len(real), len(fake))
    if num_subsets < 1 or size < 2:
        raise ValueError(
            "need num_subsets ≥ 1, subset_size ≥ 2 and at least 2 images on both sides, got "
            f"{num_subsets=}, {subset_size=}, {len(real)} real and {len(fake)} painted"
        )
    generator = torch.Generator().manual_seed(seed)
    distances = []
    for _ in range(num_subsets):
        x = real[torch.randperm(len(real), generator=generator)[:size].to(real.device)]
        y = fake[torch.randperm(len(fake), generator=generator)[:size].to(fake.device)]
        distances.append(_squared_mmd(x.double(), y.double()))
    values = torch.stack(distances)
    return KernelDistance(float(values.mean()), float(values.std(correction=0)), size)


def _squared_mmd(x: Tensor, y: Tensor) -> Tensor:
    """Return the unbiased estimate from x, y [m F]; scalar."""
    m = len(x)
    k_xx, k_yy, k_xy = _kernel(x, x), _kernel(y, y), _kernel(x, y)
    within = k_xx.sum() - k_xx.trace() + k_yy.sum() - k_yy.trace()
    return within / (m * (m - 1)) - 2 * k_xy.mean()


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    """(xᵀy / F + 1)³ of all pairs, [m m]."""
    return (x @ y.T).div_(x.shape[1]).add_(1).pow_(3)
