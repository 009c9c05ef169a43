"""Oja's rule."""

from torch import Tensor

from fpainter.generators.learning_rules.base import LearningRule, outer, read
from fpainter.generators.painting import Instructions
from fpainter.nn.activations import check_choice
from fpainter.ops import closed_form
from fpainter.ops.strokes import Factors


class OjaRule(LearningRule):
    """Oja's rule: what the canvas answers to the value, read backwards, is taken off the key.

    Args:
        corrected_key_activation: f, applied after the subtraction. ``identity``: keys are
            activated once, by the head. ``softmax``: a second time, after the subtraction, as the
            released code does whenever the head's `key_activation` is softmax; there is no closed
            form then, it takes T short steps.

    Raises:
        ValueError: if `corrected_key_activation` is neither.

    Source: Oja 1982; Irie & Schmidhuber 2023, section 4.3, who report that it did not train well.
    """

    page = "oja"
    equation = r"W_t = W_{t-1} + \beta_t v_t f(k_t - W_{t-1}^\top v_t)^\top"
    source = "Oja 1982; Irie & Schmidhuber 2023"
    anywhere = False

    def __init__(self, corrected_key_activation: str = "identity") -> None:
        super().__init__()
        self.corrected_key_activation = check_choice(
            "corrected_key_activation", corrected_key_activation, ("identity", "softmax")
        )

    def step(self, canvas: Tensor, key: Tensor, value: Tensor, rate: Tensor) -> Tensor:
        """Write the key less what the value brings to mind."""
        corrected = key - read(canvas.mT, value)
        if self.corrected_key_activation == "softmax":
            corrected = corrected.softmax(dim=-1)
        return canvas + outer(rate * value, corrected)

    def factors(self, instructions: Instructions, canvas: Tensor | None) -> Factors:
        """Solve for the corrected keys."""
        key, value, rate = (instructions[order.name] for order in self.orders)
        softmax = self.corrected_key_activation == "softmax"
        return Factors(*closed_form.oja_rule(key, value, rate, canvas, softmax))

    def key_factor(self, height: float, width: float) -> float:
        """Return by which interpolated keys are multiplied, and values divided, in growing.

        ``W^T v`` is a sum over more rows; with `corrected_key_activation` this is not exact.

        Args:
            height: the new height over the old one.
            width: the same of widths.
        """
        del width
        return height**0.5
