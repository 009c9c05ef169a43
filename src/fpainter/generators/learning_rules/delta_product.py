"""Several strokes of the delta rule at each step."""

from torch import Tensor

from fpainter.generators.learning_rules.base import KEY, RATE, VALUE, LearningRule, outer, read
from fpainter.nn.sizes import check_whole
from fpainter.ops.strokes import Strokes


class DeltaProductRule(LearningRule):
    """Every step has several strokes of the delta rule, with signed unit keys and rates to 2.

    A stroke at rate 2 reflects what the canvas answers, and two reflections turn it. The rank of a
    canvas is bounded by the number of strokes: steps of the slow net and rank are apart.

    Args:
        num_strokes: of each step, at least 1.

    Raises:
        ValueError: if there is none.

    Source: DeltaProduct (Siems et al. 2025), with a value for each stroke, as there.
    """

    equation = (
        r"W_{t,i} = W_{t,i-1} + \beta_{t,i} (v_{t,i} - W_{t,i-1} k_{t,i}) k_{t,i}^\top,"
        r" \quad W_{t+1,0} = W_{t,n}"
    )
    source = "DeltaProduct, Siems et al. 2025"

    def __init__(self, num_strokes: int = 2) -> None:
        super().__init__()
        check_whole("num_strokes", num_strokes)
        self.num_strokes = num_strokes
        self.orders = (
            KEY._replace(activation="unit", repeat=num_strokes),
            VALUE._replace(repeat=num_strokes),
            RATE._replace(activation="double_sigmoid", repeat=num_strokes),
        )

    def step(self, canvas: Tensor, key: Tensor, value: Tensor, rate: Tensor) -> Tensor:
        """Take one stroke after the other."""
        for k, v, beta in zip(*(x.unbind(dim=2) for x in (key, value, rate)), strict=True):
            canvas = canvas + outer(beta * (v - read(canvas, k)), k)
        return canvas

    def strokes(self, key: Tensor, value: Tensor, rate: Tensor) -> Strokes:
        """Put the strokes of all steps in a row."""
        key, value, rate = (x.flatten(2, 3) for x in (key, value, rate))
        return Strokes(value, key, key, rate, per_step=self.num_strokes)
