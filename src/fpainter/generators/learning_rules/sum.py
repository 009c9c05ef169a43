"""The purely additive rule."""

from torch import Tensor

from fpainter.generators.learning_rules.base import LearningRule, outer
from fpainter.ops.strokes import Strokes


class SumRule(LearningRule):
    """The purely additive (Hebbian) rule: what is on the canvas plays no part.

    Source: Irie & Schmidhuber 2023, section 4.3, where all rates are one (``rate: none`` in the
    instruction head).
    """

    equation = r"W_t = W_{t-1} + \beta_t v_t k_t^\top"
    source = "Irie & Schmidhuber 2023"

    def step(self, canvas: Tensor, key: Tensor, value: Tensor, rate: Tensor) -> Tensor:
        """Add the outer product of value and key."""
        return canvas + outer(rate * value, key)

    def strokes(self, key: Tensor, value: Tensor, rate: Tensor) -> Strokes:
        """Read nothing."""
        return Strokes(value, write=key, read=None, rate=rate)

    def key_factor(self, height: float, width: float) -> float:
        """Return 1: nothing is read from the canvas, and any factor would do."""
        del height, width
        return 1.0
