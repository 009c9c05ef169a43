"""Scraping in one place and painting in another, in one step."""

import torch
from torch import Tensor

from fpainter.generators.learning_rules.base import KEY, RATE, VALUE, LearningRule, outer, read
from fpainter.generators.painting import Order
from fpainter.ops.strokes import Strokes


class RemovalRule(LearningRule):
    r"""What a removal key reads is scraped off by column, and something is painted elsewhere.

    The delta rule can only scrape where it paints.

    Source: RWKV-7 (Peng et al. 2025), here with a rate and with the range of the fade that others
    have.
    """

    equation = (
        r"W_t = W_{t-1} (\operatorname{diag}(d_t) - \kappa_t (a_t \odot \kappa_t)^\top)"
        r" + \beta_t v_t k_t^\top"
    )
    source = "RWKV-7, Peng et al. 2025"
    orders = (
        KEY, VALUE, RATE, Order("removal", "columns", "unit"),
        Order("scrape", "columns", "low_sigmoid"), Order("fade", "columns", "fade"),
    )  # fmt: skip

    def step(
        self,
        canvas: Tensor,
        key: Tensor,
        value: Tensor,
        rate: Tensor,
        removal: Tensor,
        scrape: Tensor,
        fade: Tensor,
    ) -> Tensor:
        """Fade and scrape what was there, then paint."""
        scraped = outer(read(canvas, removal), scrape * removal)
        return canvas * fade.exp().unsqueeze(-2) - scraped + outer(rate * value, key)

    def strokes(
        self,
        key: Tensor,
        value: Tensor,
        rate: Tensor,
        removal: Tensor,
        scrape: Tensor,
        fade: Tensor,
    ) -> Strokes:
        """Scrape with one stroke, which reads what was there before, paint with another."""
        nothing = torch.zeros_like(fade)
        return Strokes(
            value=_in_turn(torch.zeros_like(value), value),
            write=_in_turn(scrape * removal, key),
            read=_in_turn(removal * (-fade).exp(), nothing),
            rate=_in_turn(torch.ones_like(rate), rate),
            fade_columns=_in_turn(fade, nothing),
            per_step=2,
        )


def _in_turn(first: Tensor, second: Tensor) -> Tensor:
    return torch.stack([first, second], dim=3).flatten(2, 3)
