"""The delta rule, with several ways to choose how far a step goes."""

import torch
from torch import Tensor

from fpainter.generators.learning_rules.base import KEY, RATE, VALUE, LearningRule, outer, read
from fpainter.generators.painting import Instructions
from fpainter.nn.activations import check_choice
from fpainter.ops.strokes import Strokes

SHORT = 1e-6  # squared length of a key that counts as none


class DeltaRule(LearningRule):
    r"""The delta rule (Widrow & Hoff): what the canvas answers to the key moves to the value.

    The answer moves ``beta_t |k_t|^2`` of the way: little, if a softmax key is spread over many
    columns. Other step sizes replace beta by

    - ``normalised``: ``beta / |k|^2``; it moves beta of the way, however broad the key (Kaczmarz
      1937; stable for rates in (0, 2));
    - ``implicit``: ``beta / (1 + beta |k|^2)``, the step that minimises ``|W - W_{t-1}|^2 + beta
      |v - W k|^2`` (Longhorn, Liu et al. 2024, whose code approximates it); any rate is stable;
    - ``exact``: ``(1 - exp(-beta |k|^2)) / |k|^2``, where following the gradient for a time beta
      ends (EFLA, Lei et al. 2025); any rate is stable.

    The last two take rates above 0 from a softplus, and keys of unit length.

    Args:
        first_rate: ``applied`` scales the first update by beta_1 like every other (the paper's
            Eq. 9); ``one`` leaves it unscaled on an empty canvas, as the released code does. A
            learned canvas gets beta_1 either way.
        step_size: ``plain`` (the paper), ``normalised``, ``implicit`` or ``exact``.

    Raises:
        ValueError: if either is none of these.

    Source: Irie & Schmidhuber 2023, Eq. 9.
    """

    equation = r"W_t = W_{t-1} + \beta_t (v_t - W_{t-1} k_t) k_t^\top"
    source = "Widrow & Hoff 1960; Schlag et al. 2021; Irie & Schmidhuber 2023"

    def __init__(self, first_rate: str = "applied", step_size: str = "plain") -> None:
        super().__init__()
        self.first_rate = check_choice("first_rate", first_rate, ("applied", "one"))
        self.step_size = check_choice(
            "step_size", step_size, ("plain", "normalised", "implicit", "exact")
        )
        if step_size in ("implicit", "exact"):
            self.orders = (
                KEY._replace(activation="unit"), VALUE, RATE._replace(activation="softplus")
            )  # fmt: skip

    def step(self, canvas: Tensor, key: Tensor, value: Tensor, rate: Tensor) -> Tensor:
        """Move the answer to the key towards the value."""
        return canvas + outer(self._sized(rate, key) * (value - read(canvas, key)), key)

    def strokes(self, key: Tensor, value: Tensor, rate: Tensor) -> Strokes:
        """Read where is written."""
        return Strokes(value, write=key, read=key, rate=self._sized(rate, key))

    def applied(self, instructions: Instructions, canvas: Tensor | None) -> Instructions:
        """Return the instructions with the first rate as it is applied on this canvas."""
        if self.first_rate == "applied" or canvas is not None:
            return instructions
        rate = instructions["rate"]
        rate = torch.cat([torch.ones_like(rate[:, :, :1]), rate[:, :, 1:]], dim=2)
        return {**instructions, "rate": rate}

    def _sized(self, rate: Tensor, key: Tensor) -> Tensor:
        if self.step_size == "plain":
            return rate
        length = key.square().sum(dim=-1, keepdim=True).clamp_min(SHORT)
        if self.step_size == "normalised":
            return rate / length
        if self.step_size == "implicit":
            return rate / (1 + rate * length)
        return -torch.expm1(-rate * length) / length
