"""Latents that are functions of a seed and an index, so scores do not depend on batching."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fpainter.nn.seeds import stream_seed


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
