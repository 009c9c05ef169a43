"""Synaptic learning rules as modules: instructions and a canvas in, rank-1 factors out."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from fpainter.generators.painting import Instructions
from fpainter.nn.activations import check_choice
from fpainter.ops import closed_form


class Factors(NamedTuple):
    """Rank-1 factors of all steps: rows u [B C T H] and cols p [B C T W]."""

    rows: Tensor
    cols: Tensor


class DeltaRule(nn.Module):
    """The delta rule (Widrow & Hoff): ``W_t = W_{t-1} + beta_t (v_t - W_{t-1} k_t) k_t^T``.

    Args:
        first_rate: ``applied`` scales the first update by beta_1 like every other (the paper's
            Eq. 9); ``one`` leaves it unscaled on an empty canvas, as the released code does. A
            learned canvas gets beta_1 either way.

    Raises:
        ValueError: if `first_rate` is neither.

    Source: Irie & Schmidhuber 2023, Eq. 9.
    """

    def __init__(self, first_rate: str = "applied") -> None:
        super().__init__()
        self.first_rate = check_choice("first_rate", first_rate, ("applied", "one"))

    def forward(self, instructions: Instructions, canvas: Tensor | None = None) -> Factors:
        """Return the factors for key, value and rate [B C T *] on a canvas [B C H W] or zeros."""
        key, value, _ = instructions
        rate = self.applied_rate(instructions, canvas)
        return Factors(*closed_form.delta_rule(key, value, rate, canvas))

    def applied_rate(self, instructions: Instructions, canvas: Tensor | None = None) -> Tensor:
        """Return the rates [B C T *] with which updates are scaled on this canvas."""
        rate = instructions.rate
        if self.first_rate == "one" and canvas is None:
            rate = torch.cat([torch.ones_like(rate[:, :, :1]), rate[:, :, 1:]], dim=2)
        return rate

    def key_factor(self, height: float, width: float) -> float:
        """Return by which interpolated keys are multiplied, and values divided, in growing.

        ``W k`` is a sum over more columns, and the rule wants it as it was.

        Args:
            height: the new height over the old one.
            width: the same of widths.
        """
        del height
        return width**-0.5


class SumRule(nn.Module):
    """The purely additive (Hebbian) rule: ``W_t = W_{t-1} + beta_t v_t k_t^T``.

    Source: Irie & Schmidhuber 2023, section 4.3, where all rates are one (``rate: none`` in the
    instruction head).
    """

    def forward(self, instructions: Instructions, canvas: Tensor | None = None) -> Factors:
        """Return the factors for key, value and rate [B C T *]."""
        key, value, rate = instructions
        return Factors(*closed_form.sum_rule(key, value, rate, canvas))

    def key_factor(self, height: float, width: float) -> float:
        """Return by which interpolated keys are multiplied, and values divided, in growing.

        Nothing is read from the canvas, and any factor would do.

        Args:
            height: the new height over the old one.
            width: the same of widths.
        """
        del height, width
        return 1.0


class OjaRule(nn.Module):
    """Oja's rule: ``W_t = W_{t-1} + beta_t v_t f(k_t - W_{t-1}^T v_t)^T``.

    Args:
        corrected_key_activation: f, applied after the subtraction. ``identity``: keys are
            activated once, by the head. ``softmax``: a second time, after the subtraction, as the
            released code does whenever the head's `key_activation` is softmax; there is no closed
            form then, it takes T short steps.

    Raises:
        ValueError: if `corrected_key_activation` is neither.

    Source: Oja 1982; Irie & Schmidhuber 2023, section 4.3, who report that it did not train well.
    """

    def __init__(self, corrected_key_activation: str = "identity") -> None:
        super().__init__()
        self.corrected_key_activation = check_choice(
            "corrected_key_activation", corrected_key_activation, ("identity", "softmax")
        )

    def forward(self, instructions: Instructions, canvas: Tensor | None = None) -> Factors:
        """Return the factors for key, value and rate [B C T *] on a canvas [B C H W] or zeros."""
        key, value, rate = instructions
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
