r"""A learning rule as a program of strokes.

Most rules of the family decide no more than, for each stroke, how the canvas fades, what is read
from it, what is written and how strongly:

    W <- diag(e^a) W diag(e^b)      fade, in logarithms a of rows and b of columns
    u = beta (v - W r)              read at r
    W <- W + u p^T                  write at p

Shapes: B batch, C channels, S strokes, H rows, W columns. What all channels share may have one
channel. :mod:`fpainter.ops.closed_form` runs a program without a loop, and
:mod:`fpainter.ops.rank_one` adds up what came of it.
"""

from typing import NamedTuple

from torch import Tensor


class Strokes(NamedTuple):
    """What a rule orders, stroke after stroke.

    Attributes:
        value: v [B C S H], in the range of the canvas.
        write: p [B C S W].
        read: r [B C S W]; None reads nothing, as the purely additive rule.
        rate: beta [B C S 1], or [B C S H] for one per row.
        fade_rows: a [B C S H or 1], logarithms, at most 0; None leaves rows as they are.
        fade_columns: b [B C S W or 1], the same of columns.
        per_step: strokes of each painting step.
    """

    value: Tensor
    write: Tensor
    read: Tensor | None
    rate: Tensor
    fade_rows: Tensor | None = None
    fade_columns: Tensor | None = None
    per_step: int = 1


class Factors(NamedTuple):
    """What strokes do to the canvas: ``W <- diag(e^a) W diag(e^b) + u p^T``, one after the other.

    Attributes:
        rows: u [B C S H].
        cols: p [B C S W].
        fade_rows: a [B C S H or 1], or None.
        fade_columns: b [B C S W or 1], or None.
    """

    rows: Tensor
    cols: Tensor
    fade_rows: Tensor | None = None
    fade_columns: Tensor | None = None
