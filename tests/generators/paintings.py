"""Paintings without a painter."""

from torch import Tensor

from fpainter.generators.learning_rules import KEY, RATE, VALUE
from fpainter.generators.painting import StrokePainting


def painting_of(
    rows: Tensor,
    cols: Tensor,
    canvas: Tensor | None = None,
    rate: Tensor | None = None,
) -> StrokePainting:
    """Return the painting of rows [B C T H] and cols [B C T W], ordered as they are."""
    rate = rows[..., :1] if rate is None else rate
    instructions = {"key": cols, "value": rows, "rate": rate}
    return StrokePainting(
        orders=(KEY, VALUE, RATE), instructions=instructions, canvas=canvas, rows=rows, cols=cols
    )
