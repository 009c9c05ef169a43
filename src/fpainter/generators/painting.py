"""A painting: the rank-1 factors of all steps and the canvas they were put on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from fpainter.ops import rank_one


class Instructions(NamedTuple):
    """What the slow net orders at each painting step.

    Attributes:
        key: column patterns k [B C T W].
        value: row patterns v [B C T H].
        rate: write strengths beta [B C T 1], or [B C T H] for one per row.
    """

    key: Tensor
    value: Tensor
    rate: Tensor


@dataclass(frozen=True)
class Painting:
    """All steps of a batch of images, as factors: ``W_t = W_0 + sum_{j<=t} u_j p_j^T``.

    The final image, step pictures, intermediate canvases and films are all read from here; no
    second run of the generator is needed for any of them. Values are those of the canvas, before
    the refiner and the output activation.

    Attributes:
        rows: u [B C T H].
        cols: p [B C T W].
        canvas: W_0 [B C H W]; None means zeros.
        instructions: the key, value and rate that led to the factors.
    """

    rows: Tensor
    cols: Tensor
    canvas: Tensor | None
    instructions: Instructions

    @property
    def num_steps(self) -> int:
        """Return the number of painting steps T."""
        return self.rows.shape[2]

    def image(self) -> Tensor:
        """Return the finished canvas W_T [B C H W]."""
        return rank_one.image(self.rows, self.cols, self.canvas)

    def updates(self) -> Tensor:
        """Return each step's rank-1 update [B T C H W]."""
        return rank_one.updates(self.rows, self.cols)

    def canvases(self, steps: Sequence[int] | None = None) -> Tensor:
        """Return the canvas after the given numbers of updates (default 1..T), [B S C H W]."""
        return rank_one.canvases(self.rows, self.cols, self.canvas, steps)


def shown_steps(num_steps: int, num_shown: int) -> list[int]:
    """Return up to `num_shown` step numbers of 1..T, evenly spread, the last being T."""
    num = min(num_shown, num_steps)
    return [round(num_steps * (index + 1) / num) for index in range(num)]
