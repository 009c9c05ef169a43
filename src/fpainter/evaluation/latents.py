"""Latents that are functions of a seed and an index, so scores do not depend on batching."""

from collections.abc import Sequence

import torch
from torch import Tensor

_INDICES = 2**32


def latents(seed: int, indices: Sequence[int], d_latent: int) -> Tensor:
    """Draws row i from N(0, 1) as a function of (seed, index i) alone.

    The same image belongs to the same (seed, index) whatever the batch size, the number of
    processes or the order; different indices under one seed never share a generator state.

    Args:
        seed: any integer of up to 64 bits.
        indices: sample numbers, each in [0, 2³²).
        d_latent: entries of a latent, at least 1.

    Returns:
        `[B d_latent]` float32 on the CPU.

    Raises:
        ValueError: if an index or `d_latent` is out of range.
    """
    if d_latent < 1:
        raise ValueError(f"d_latent must be at least 1, got {d_latent}")
    rows = torch.empty(len(indices), d_latent)
    generator = torch.Generator()
    for row, index in zip(rows, indices, strict=True):
        row.normal_(generator=generator.manual_seed(_generator_seed(seed, index)))
    return rows


def _generator_seed(seed: int, index: int) -> int:
    """Hashes (seed, index) to 32 bits, one to one in the index.

    torch's CPU generator reads the low 32 bits of its seed only. An ordinary hash would give two of
    50 000 samples the same state in one run of four; a keyed permutation of the index cannot.
    """
    if not 0 <= index < _INDICES:
        raise ValueError(f"sample index must be in [0, {_INDICES}), got {index}")
    key = _mix64(seed)
    return _mix32(_mix32(index ^ (key & 0xFFFFFFFF)) ^ (key >> 32))


def _mix64(x: int) -> int:
    """SplitMix64: a one-to-one map of 64-bit integers that leaves no visible structure."""
    x = (x + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return x ^ (x >> 31)


def _mix32(x: int) -> int:
    """MurmurHash3's finaliser: a one-to-one map of 32-bit integers."""
    x = ((x ^ (x >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    x = ((x ^ (x >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return x ^ (x >> 16)
