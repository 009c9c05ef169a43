"""The delta rule with gates of its own for what is scraped off and what is put on."""

from torch import Tensor

from fpainter.generators.learning_rules.base import KEY, VALUE, LearningRule, outer, read
from fpainter.generators.painting import Order
from fpainter.ops.strokes import Strokes


class EraseWriteRule(LearningRule):
    """Columns are scraped and rows are painted by gates of their own; columns fade before.

    With all gates at beta it is the delta rule; they begin at one half.

    Source: GDN-2 (Hatamizadeh, Choi & Kautz 2026); the range of the fade is ours.
    """

    equation = (
        r"W_t = \bar W - \bar W (e_t \odot k_t) k_t^\top + (w_t \odot v_t) k_t^\top,"
        r" \quad \bar W = W_{t-1} \operatorname{diag}(d_t)"
    )
    source = "GDN-2, Hatamizadeh et al. 2026"
    orders = (
        KEY, VALUE, Order("erase", "columns", "sigmoid"), Order("write", "rows", "sigmoid"),
        Order("fade", "columns", "fade"),
    )  # fmt: skip

    def step(
        self,
        canvas: Tensor,
        key: Tensor,
        value: Tensor,
        erase: Tensor,
        write: Tensor,
        fade: Tensor,
    ) -> Tensor:
        """Fade, scrape off and paint."""
        canvas = canvas * fade.exp().unsqueeze(-2)
        return canvas + outer(write * value - read(canvas, erase * key), key)

    def strokes(
        self, key: Tensor, value: Tensor, erase: Tensor, write: Tensor, fade: Tensor
    ) -> Strokes:
        """Read with the gated key."""
        ones = value.new_ones(*value.shape[:-1], 1)
        return Strokes(write * value, key, erase * key, ones, fade_columns=fade)
