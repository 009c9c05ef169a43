"""The delta rule in strokes of one colour."""

from torch import Tensor

from fpainter.generators.learning_rules.base import KEY, RATE, VALUE, LearningRule, outer, read
from fpainter.generators.painting import Order
from fpainter.ops.strokes import Strokes


class CoupledRule(LearningRule):
    """All channels share key, value and rate; a colour says how much of the value each gets.

    A stroke is a rank-1 term of the [C H W] tensor and takes a third of the numbers. It begins
    grey.

    Source: this package; the terms are those of the canonical polyadic decomposition.
    """

    equation = r"W_{t,c} = W_{t-1,c} + \beta_t (a_{t,c} v_t - W_{t-1,c} k_t) k_t^\top"
    source = "this package"
    orders = (
        *(order._replace(per="image") for order in (KEY, VALUE, RATE)),
        Order("colour", "scalar", "from_one", patterned=False),
    )

    def step(
        self, canvas: Tensor, key: Tensor, value: Tensor, rate: Tensor, colour: Tensor
    ) -> Tensor:
        """Move the answer to the key, in each channel, towards its part of the value."""
        return canvas + outer(rate * (colour * value - read(canvas, key)), key)

    def strokes(self, key: Tensor, value: Tensor, rate: Tensor, colour: Tensor) -> Strokes:
        """Colour the values."""
        return Strokes(colour * value, write=key, read=key, rate=rate)
