"""Latents that are functions of a seed and an index, and what lies between two of them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fpainter.nn.seeds import stream_seed

PATHS = ("spherical", "linear")


def latents(seed: int, indices: Sequence[int], d_latent: int) -> Tensor:
    """Draw row i from N(0, 1) as a function of (seed, index i) alone.

    The same image belongs to the same (seed, index) whatever the batch size, the number of
    processes or the order; different indices under one seed never share a generator state.

    Args:
        seed: any integer of up to 64 bits.
        indices: sample numbers, each in [0, 2³²).
        d_latent: entries of a latent, at least 1.

    Returns:
        [B d_latent] float32 on the CPU.

    Raises:
        ValueError: if an index or `d_latent` is out of range.
    """
    if d_latent < 1:
        raise ValueError(f"d_latent must be at least 1, got {d_latent}")
    rows = torch.empty(len(indices), d_latent)
    generator = torch.Generator()
    for row, index in zip(rows, indices, strict=True):
        row.normal_(generator=generator.manual_seed(stream_seed(seed, index)))
    return rows


def interpolate(start: Tensor, end: Tensor, shares: Tensor, path: str = "spherical") -> Tensor:
    """Return latents [S d] between two.

    Args:
        start: latents at share 0, [d] or one for each share [S d].
        end: latents at share 1, likewise.
        shares: of the way gone, [S] in [0, 1].
        path: ``spherical`` turns the direction at an even pace and changes the length evenly, so
            that latents on the way are as long as drawn ones; ``linear`` goes straight.
    """
    shares = shares[:, None]
    straight = (1 - shares) * start + shares * end
    if path == "linear":
        return straight
    lengths = start.norm(dim=-1, keepdim=True), end.norm(dim=-1, keepdim=True)
    directions = start / lengths[0], end / lengths[1]
    # The angle between unit vectors, without arccos' loss of digits near 0 and pi.
    angle = 2 * torch.atan2(
        (directions[0] - directions[1]).norm(dim=-1, keepdim=True),
        (directions[0] + directions[1]).norm(dim=-1, keepdim=True),
    )
    turned = ((1 - shares) * angle).sin() * directions[0] + (shares * angle).sin() * directions[1]
    turned = turned / angle.sin() * ((1 - shares) * lengths[0] + shares * lengths[1])
    # The same direction, or none that lies between.
    return torch.where(angle.sin() < 1e-6, straight, turned)
