"""The delta rule with columns that fade."""

from torch import Tensor

from fpainter.generators.learning_rules.base import KEY, RATE, VALUE, LearningRule, outer, read
from fpainter.generators.painting import Order
from fpainter.ops.strokes import Strokes


class ColumnFadeRule(LearningRule):
    """Columns fade, each at its own rate, before every step of the delta rule: a curtain.

    Source: KDA (Kimi Linear, Kimi Team 2025), Gated Linear Attention (Yang et al. 2023); the range
    of the fade is ours.
    """

    equation = (
        r"W_t = \bar W + \beta_t (v_t - \bar W k_t) k_t^\top,"
        r" \quad \bar W = W_{t-1} \operatorname{diag}(d_t)"
    )
    source = "KDA, Kimi Team 2025"
    orders = (KEY, VALUE, RATE, Order("fade", "columns", "fade"))

    def step(
        self, canvas: Tensor, key: Tensor, value: Tensor, rate: Tensor, fade: Tensor
    ) -> Tensor:
        """Fade columns, then move the answer to the key towards the value."""
        canvas = canvas * fade.exp().unsqueeze(-2)
        return canvas + outer(rate * (value - read(canvas, key)), key)

    def strokes(self, key: Tensor, value: Tensor, rate: Tensor, fade: Tensor) -> Strokes:
        """Fade columns."""
        return Strokes(value, write=key, read=key, rate=rate, fade_columns=fade)
