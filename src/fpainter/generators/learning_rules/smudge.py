"""The delta rule with values that are taken from elsewhere on the canvas."""

from torch import Tensor

from fpainter.generators.learning_rules.base import KEY, RATE, VALUE, LearningRule, outer, read
from fpainter.generators.painting import Order
from fpainter.ops.strokes import Strokes


class SmudgeRule(LearningRule):
    """At one key is painted what stands at another, besides a value of its own.

    It begins close to the delta rule, with an eighth of what stands elsewhere.

    Source: this package; the linear part of a self-referential weight matrix (Irie et al. 2022).
    """

    equation = r"W_t = W_{t-1} + \beta_t (v_t + m_t W_{t-1} q_t - W_{t-1} k_t) k_t^\top"
    source = "this package; SRWM, Irie et al. 2022"
    orders = (
        KEY, VALUE, RATE, Order("source", "columns", "softmax", like="key"),
        Order("amount", "scalar", "low_sigmoid", patterned=False),
    )  # fmt: skip

    def step(
        self,
        canvas: Tensor,
        key: Tensor,
        value: Tensor,
        rate: Tensor,
        source: Tensor,
        amount: Tensor,
    ) -> Tensor:
        """Move the answer to the key towards the value and what stands at the source."""
        wanted = value + amount * read(canvas, source)
        return canvas + outer(rate * (wanted - read(canvas, key)), key)

    def strokes(
        self, key: Tensor, value: Tensor, rate: Tensor, source: Tensor, amount: Tensor
    ) -> Strokes:
        """Read at the key less the source."""
        return Strokes(value, write=key, read=key - amount * source, rate=rate)
