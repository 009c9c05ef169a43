"""Alpha compositing with mattes of rank one."""

from torch import Tensor

from fpainter.generators.learning_rules.base import LearningRule, outer
from fpainter.generators.painting import Order


class OverRule(LearningRule):
    """A soft rectangle of one colour is laid over the canvas, as paint that covers.

    The canvas stays within the colours. Its rank is not bounded by the number of steps: what is
    covered is multiplied, and products of mattes have a higher rank.

    There is no closed form that is faster than the loop, and none that is safe where a matte
    covers all.

    Source: the over operator of Porter & Duff 1984, as in neural painters of strokes (Huang, Heng &
    Zhou 2019; Zou et al. 2021).
    """

    page = "over"
    equation = r"W_{t,c} = (1 - a_t b_t^\top) \odot W_{t-1,c} + z_{t,c}\, a_t b_t^\top"
    source = "Porter & Duff 1984"
    orders = (
        Order("columns", "columns", "low_sigmoid", per="image"),
        Order("rows", "rows", "low_sigmoid", per="image"),
        Order("colour", "scalar", patterned=False),
    )

    def step(self, canvas: Tensor, columns: Tensor, rows: Tensor, colour: Tensor) -> Tensor:
        """Cover what is under the matte."""
        return canvas + outer(rows, columns) * (colour.unsqueeze(-1) - canvas)

    def key_factor(self, height: float, width: float) -> float:
        """Return 1: mattes are interpolated as they are."""
        del height, width
        return 1.0
