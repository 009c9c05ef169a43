"""Affine maps, a matrix [B n+1 n+1] for each image: of places (n = 2) and of colours (n = 3)."""

from collections.abc import Sequence

import torch
from torch import Tensor

# Entries of a matrix, row by row, the last row (0 … 0 1) left out: numbers or tensors [B 1 1 1].
Rows = Sequence[Sequence[float | Tensor]]


def affine(like: Tensor, rows: Rows) -> Tensor:
    """Put matrices together.

    Args:
        like: [B ...], whose number, dtype and device count.
        rows: of all images alike, but for entries that are tensors.

    Returns:
        [B n+1 n+1], where `rows` are n.
    """
    last = [*(0.0 for _ in rows), 1.0]
    entries = [entry for row in (*rows, last) for entry in row]
    flat = [
        e.to(like.dtype).view(-1) if isinstance(e, Tensor) else like.new_full((len(like),), e)
        for e in entries
    ]
    return torch.stack(flat, dim=1).unflatten(1, (len(last), len(last)))


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """Multiply matrices [B n n]; exactly so, where a GPU's products may be rounded to 10 bits."""
    return (outer.unsqueeze(-1) * inner.unsqueeze(-3)).sum(dim=-2)
