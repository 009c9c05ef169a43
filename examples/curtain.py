"""A learning rule of your own: every stroke closes a curtain from the left before it paints.

    python -m fpainter.train model/learning_rule=custom \
        model.generator.learning_rule._target_=examples.curtain.CurtainRule

What is trained so is painted with FPAINTER_TRUST=examples.curtain in the environment.
"""

import torch
from torch import Tensor

from fpainter.generators.learning_rules import (
    KEY,
    RATE,
    VALUE,
    LearningRule,
    Order,
    Strokes,
    outer,
    read,
)
from fpainter.testing import check_rule


class CurtainRule(LearningRule):
    """Columns left of a soft edge fade to 37 % before each step of the delta rule."""

    equation = r"W_t = \bar W + \beta_t (v_t - \bar W k_t) k_t^\top, \bar W = W_{t-1} D(x_t)"
    source = "examples/curtain.py"
    anywhere = False  # where a column is, is counted from the left edge of what is painted
    orders = (KEY, VALUE, RATE, Order("edge", "scalar", "low_sigmoid", patterned=False))

    def step(
        self, canvas: Tensor, key: Tensor, value: Tensor, rate: Tensor, edge: Tensor
    ) -> Tensor:
        """Say what one step does to the canvas: this is all that a rule must have."""
        canvas = canvas * curtain(edge, key).exp().unsqueeze(-2)
        return canvas + outer(rate * (value - read(canvas, key)), key)

    def strokes(self, key: Tensor, value: Tensor, rate: Tensor, edge: Tensor) -> Strokes:
        """Say it as strokes, too: then there is no loop over steps, and the page can paint it."""
        return Strokes(value, write=key, read=key, rate=rate, fade_columns=curtain(edge, key))


def curtain(edge: Tensor, key: Tensor) -> Tensor:
    """Return logarithms [... W] of what an edge [... 1], from 0 to 1, leaves of each column."""
    places = torch.linspace(0, 1, key.shape[-1]).to(key)
    return -torch.sigmoid(20 * (edge - places))


if __name__ == "__main__":
    check_rule(CurtainRule())
    print("The closed form is the loop.")
