"""What rank-1 factors add up to: the image, single updates, the canvas after chosen steps."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from fpainter.ops.precision import full_precision


@full_precision
def image(rows: Tensor, cols: Tensor, canvas: Tensor | None = None) -> Tensor:
    """Sum all updates: ``W_T = W_0 + sum_t u_t p_t^T``.

    Args:
        rows: u [B C T H].
        cols: p [B C T W].
        canvas: W_0 [B C H W]; None means zeros.

    Returns:
        W_T [B C H W].
    """
    painted = rows.mT @ cols
    return painted if canvas is None else canvas + painted


@full_precision
def updates(rows: Tensor, cols: Tensor) -> Tensor:
    """Return every rank-1 update ``u_t p_t^T`` as a picture [B T C H W]."""
    return torch.einsum("bcth,bctw->btchw", rows, cols)


@full_precision
def canvases(
    rows: Tensor, cols: Tensor, canvas: Tensor | None = None, steps: Sequence[int] | None = None
) -> Tensor:
    """Return the canvas as it stands after chosen steps.

    Args:
        rows: u [B C T H].
        cols: p [B C T W].
        canvas: W_0 [B C H W]; None means zeros.
        steps: numbers of updates done, increasing, each in 0..T; None means 1, 2, ..., T. Without
            any step there is no canvas to return.

    Returns:
        [B len(steps) C H W].

    Raises:
        ValueError: if steps are out of range or not increasing.
    """
    num_steps = rows.shape[2]
    steps = list(range(1, num_steps + 1)) if steps is None else [int(step) for step in steps]
    if any(not 0 <= step <= num_steps for step in steps) or any(a >= b for a, b in pairwise(steps)):
        raise ValueError(f"steps must increase within 0..{num_steps}; got {steps}")
    if not steps:
        return image(rows, cols, canvas).unsqueeze(1)[:, :0]
    segments = [
        rows[:, :, done:step].mT @ cols[:, :, done:step] for done, step in pairwise([0, *steps])
    ]
    painted = torch.stack(segments, dim=1).cumsum(dim=1)
    return painted if canvas is None else canvas.unsqueeze(1) + painted
