"""Covering in one shape and painting in another."""

from torch import Tensor

from fpainter.generators.learning_rules.base import KEY, VALUE, LearningRule, outer
from fpainter.generators.painting import Order


class VeilRule(LearningRule):
    """A soft rectangle veils the canvas, and a coloured stroke is added.

    What is covered and what is put on are separate: the rule contains `OverRule` and, with nothing
    veiled, the additive one.

    Source: this package.
    """

    page = "veil"
    equation = r"W_{t,c} = (1 - a_t b_t^\top) \odot W_{t-1,c} + z_{t,c}\, v_t k_t^\top"
    source = "this package"
    orders = (
        KEY._replace(per="image"), VALUE._replace(per="image"),
        Order("columns", "columns", "low_sigmoid", per="image"),
        Order("rows", "rows", "low_sigmoid", per="image"),
        Order("colour", "scalar", "from_one", patterned=False),
    )  # fmt: skip

    def step(
        self,
        canvas: Tensor,
        key: Tensor,
        value: Tensor,
        columns: Tensor,
        rows: Tensor,
        colour: Tensor,
    ) -> Tensor:
        """Veil, then add."""
        return canvas * (1 - outer(rows, columns)) + outer(colour * value, key)

    def key_factor(self, height: float, width: float) -> float:
        """Return 1: nothing is read along the key."""
        del height, width
        return 1.0
