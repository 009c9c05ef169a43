"""The delta rule with rows and columns that fade."""

from torch import Tensor

from fpainter.generators.learning_rules.base import KEY, RATE, VALUE, LearningRule, outer, read
from fpainter.generators.painting import Order
from fpainter.ops.strokes import Strokes


class FrameFadeRule(LearningRule):
    """Rows and columns fade before every step of the delta rule.

    A fade ``c d^T`` can keep a rectangle and dim the frame around it. Sequence models have no use
    for it, since their values are in no order.
    """

    equation = (
        r"W_t = \bar W + \beta_t (v_t - \bar W k_t) k_t^\top,"
        r" \quad \bar W = \operatorname{diag}(c_t) W_{t-1} \operatorname{diag}(d_t)"
    )
    source = "this package"
    orders = (
        KEY, VALUE, RATE, Order("fade_columns", "columns", "fade"),
        Order("fade_rows", "rows", "fade"),
    )  # fmt: skip

    def step(
        self,
        canvas: Tensor,
        key: Tensor,
        value: Tensor,
        rate: Tensor,
        fade_columns: Tensor,
        fade_rows: Tensor,
    ) -> Tensor:
        """Fade rows and columns, then move the answer to the key towards the value."""
        canvas = canvas * outer(fade_rows.exp(), fade_columns.exp())
        return canvas + outer(rate * (value - read(canvas, key)), key)

    def strokes(
        self, key: Tensor, value: Tensor, rate: Tensor, fade_columns: Tensor, fade_rows: Tensor
    ) -> Strokes:
        """Fade rows and columns."""
        return Strokes(value, key, key, rate, fade_rows=fade_rows, fade_columns=fade_columns)
