"""What rank-1 factors add up to: the image, single updates, the canvas after chosen steps."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from fpainter.ops.precision import full_precision


@full_precision
def image(
    rows: Tensor,
    cols: Tensor,
    canvas: Tensor | None = None,
    fade_rows: Tensor | None = None,
    fade_columns: Tensor | None = None,
) -> Tensor:
    """Sum all updates, ``W_T = W_0 + sum_t u_t p_t^T``, each as faded as it is in the end.

    Args:
        rows: u [B C T H].
        cols: p [B C T W].
        canvas: W_0 [B C H W]; None means zeros.
        fade_rows: logarithms [B C T H or 1] by which rows fade before each update, at most 0.
        fade_columns: the same of columns [B C T W or 1].

    Returns:
        W_T [B C H W].
    """
    if fade_rows is not None:
        rows, canvas = _faded(rows, fade_rows, canvas, axis=-1)
    if fade_columns is not None:
        cols, canvas = _faded(cols, fade_columns, canvas, axis=-2)
    painted = rows.mT @ cols
    return painted if canvas is None else canvas + painted


def _faded(
    factor: Tensor, fade: Tensor, canvas: Tensor | None, axis: int
) -> tuple[Tensor, Tensor | None]:
    """Return what later fades leave of a factor [B C T N], and what all of them leave of W_0."""
    onwards = fade.flip(2).cumsum(dim=2).flip(2)  # over this update's fade and all later ones
    factor = factor * (onwards - fade).exp()
    return factor, None if canvas is None else canvas * fade.sum(dim=2).exp().unsqueeze(axis)


@full_precision
def updates(rows: Tensor, cols: Tensor) -> Tensor:
    """Return every rank-1 update ``u_t p_t^T`` as a picture [B T C H W]."""
    return torch.einsum("bcth,bctw->btchw", rows, cols)


@full_precision
def canvases(
    rows: Tensor,
    cols: Tensor,
    canvas: Tensor | None = None,
    fade_rows: Tensor | None = None,
    fade_columns: Tensor | None = None,
    steps: Sequence[int] | None = None,
) -> Tensor:
    """Return the canvas as it stands after chosen steps.

    Args:
        rows: u [B C T H].
        cols: p [B C T W].
        canvas: W_0 [B C H W]; None means zeros.
        fade_rows: as for `image`.
        fade_columns: as for `image`.
        steps: numbers of updates done, increasing, each in 0..T; None means 1, 2, ..., T. Without
            any step there is no canvas to return.

    Returns:
        [B len(steps) C H W].

    Raises:
        ValueError: if steps are out of range or not increasing.
    """
    steps = checked_steps(steps, rows.shape[2])
    if not steps:
        return image(rows, cols, canvas).unsqueeze(1)[:, :0]
    segments = [slice(*ends) for ends in pairwise([0, *steps])]
    if fade_rows is None and fade_columns is None:
        painted = [rows[:, :, some].mT @ cols[:, :, some] for some in segments]
        summed = torch.stack(painted, dim=1).cumsum(dim=1)
        return summed if canvas is None else canvas.unsqueeze(1) + summed
    found = []
    for some in segments:
        fades = (None if fade is None else fade[:, :, some] for fade in (fade_rows, fade_columns))
        canvas = image(rows[:, :, some], cols[:, :, some], canvas, *fades)
        found.append(canvas)
    return torch.stack(found, dim=1)


def checked_steps(steps: Sequence[int] | None, num_steps: int) -> list[int]:
    """Return numbers of updates done, by default 1, 2, ..., num_steps.

    Raises:
        ValueError: if they are out of range 0..num_steps or not increasing.
    """
    steps = list(range(1, num_steps + 1)) if steps is None else [int(step) for step in steps]
    if any(not 0 <= step <= num_steps for step in steps) or any(a >= b for a, b in pairwise(steps)):
        raise ValueError(f"steps must increase within 0..{num_steps}; got {steps}")
    return steps
