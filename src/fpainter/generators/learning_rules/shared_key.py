"""The delta rule with one key for all channels."""

from torch import Tensor

from fpainter.generators.learning_rules.base import KEY, RATE, VALUE, LearningRule, outer, read
from fpainter.ops.strokes import Strokes


class SharedKeyRule(LearningRule):
    """All channels write to the same columns at the same rate, each its own value.

    Source: this package.
    """

    equation = r"W_{t,c} = W_{t-1,c} + \beta_t (v_{t,c} - W_{t-1,c} k_t) k_t^\top"
    source = "this package"
    orders = (KEY._replace(per="image"), VALUE, RATE._replace(per="image"))

    def step(self, canvas: Tensor, key: Tensor, value: Tensor, rate: Tensor) -> Tensor:
        """Move the answer to the key towards the value."""
        return canvas + outer(rate * (value - read(canvas, key)), key)

    def strokes(self, key: Tensor, value: Tensor, rate: Tensor) -> Strokes:
        """Read where is written."""
        return Strokes(value, write=key, read=key, rate=rate)
