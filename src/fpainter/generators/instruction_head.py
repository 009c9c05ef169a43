"""From hidden states to painting instructions: key, value and rate (the paper's Eq. 8)."""

from collections.abc import Mapping, Sequence

import torch
from einops import rearrange
from torch import Tensor, nn

from fpainter.generators.learning_rules import KEY, RATE, VALUE, LearningRule, Order
from fpainter.generators.painting import Instructions
from fpainter.nn.activations import ACTIVATIONS, check_choice
from fpainter.nn.init import uniform_
from fpainter.nn.interpolation import interpolation_at, linear_interpolation
from fpainter.nn.linear import Linear
from fpainter.nn.patterns import basis as basis_of
from fpainter.nn.patterns import combined
from fpainter.nn.sizes import as_size

# By which power of the ratio of sizes an activation changes interpolated vectors; others do not.
CHANGES = {"softmax": -1.0, "unit": -0.5}
# Activations of what means something entry by entry: grown, it has the same entries, not the same
# inner products.
LEVELS = ("double_sigmoid", "fade", "low_sigmoid", "sigmoid", "softplus")


class InstructionHead(nn.Module):
    """One linear layer writes what the learning rule orders of every channel for each step.

    Its weights and biases start from U(-b, b) with ``b = gain / sqrt(C (H + W + 1))``, the root of
    the numbers of a step.

    Args:
        d_hidden: size of the hidden state.
        image_size: side, or (H, W): values have H entries, keys W.
        channels: colour channels C.
        learning_rule: the rule, for what it orders; None: key, value and rate, as the delta rule.
        rate: ``scalar`` (one per step and channel), ``row`` (one per image row), or ``none``:
            all rates are one and the layer has no outputs for them. None: as the rule orders it.
        key_activation: the paper's phi; ``softmax`` makes keys positive with sum one. None: the
            rule's, and so for the next two.
        value_activation: ``identity`` or ``tanh``.
        rate_activation: ``sigmoid`` keeps rates in (0, 1); ``identity`` leaves them free.
        basis: what the linear layer writes for keys and values: ``pixels``, or amplitudes of a
            ``cosine`` of each frequency, which are added up before the activation. Neighbouring
            pixels then learn together, and patterns are smooth from the first step on. ``scales``:
            pixels of a picture of another size for each stroke, interpolated before the activation.
        decay: how fast the cosines' amplitudes fall with the frequency, ``(1 + f)^-decay``.
        scales: sides of those pictures, such as 8, 16, 32, 64, which take turns.
        strokes: painting steps that are written at each step of the slow net, one after the other;
            with scales, of each of them.
        d_wide: size of a ReLU layer in between; None means none.
        gain: factor on the initial bound.
        key_scale: factor on the activated keys; growing sets it.
        value_scale: factor on the activated values; growing sets it.

    Raises:
        ValueError: if an option is unknown, or there is no rate to be as `rate` says.

    Source: Irie & Schmidhuber 2023, Eq. 8 (which shows no bias; the released code has one).
    """

    def __init__(
        self,
        d_hidden: int,
        image_size: int | Sequence[int],
        channels: int = 3,
        learning_rule: LearningRule | None = None,
        rate: str | None = None,
        key_activation: str | None = None,
        value_activation: str | None = None,
        rate_activation: str | None = None,
        basis: str = "pixels",
        decay: float = 1.0,
        scales: Sequence[int] | None = None,
        strokes: int = 1,
        d_wide: int | None = None,
        gain: float = 1.0,
        key_scale: float = 1.0,
        value_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.d_hidden = d_hidden
        self.image_size = as_size(image_size)
        self.channels = channels
        ordered = learning_rule.orders if learning_rule else (KEY, VALUE, RATE)
        given = {"key": key_activation, "value": value_activation, "rate": rate_activation}
        self.orders = tuple(
            _activated(order, given.get(order.like or order.name)) for order in ordered
        )
        if rate is not None:
            axis = {"scalar": "scalar", "row": "rows", "none": "none"}
            check_choice("rate", rate, axis)
            if all(order.name != "rate" for order in self.orders):
                raise ValueError(f"rate={rate}: {type(learning_rule).__name__} orders no rate")
            if rate == "row" and learning_rule and learning_rule.one_rate:
                rule = type(learning_rule).__name__
                raise ValueError(f"rate={rate}: {rule} takes one rate for each step")
            self.orders = tuple(
                order._replace(axis=axis[rate]) if order.name == "rate" else order
                for order in self.orders
            )
        if strokes < 1:
            raise ValueError(f"strokes must be at least 1; got {strokes}")
        self.basis = basis
        self.patterns = basis_of(basis, self.image_size, strokes, decay, scales)
        self.strokes = len(self.patterns.sizes["rows"])
        self.layout = (self.orders, basis, strokes, tuple(scales or ()))
        self.factors = {"key": key_scale, "value": value_scale}
        self.sizes = [self._patterns(order) * sum(self._sides(order)) for order in self.orders]
        self.widen = (
            nn.Sequential(nn.Linear(d_hidden, d_wide), nn.ReLU()) if d_wide else nn.Identity()
        )
        self.to_instructions = Linear(d_wide or d_hidden, sum(self.sizes))
        # The bound depends neither on the basis nor on whether rates are of rows, of steps or none.
        numbers = sum(self._patterns(order) * self._side(order) for order in ordered)
        uniform_(self.to_instructions, fan=numbers, gain=gain)

    def _patterns(self, order: Order) -> int:
        """Return how many patterns, or single numbers, a painting step has of an order."""
        return self._groups(order) * (order.repeat or 1)

    def _side(self, order: Order) -> int:
        """Return how many entries each of them has."""
        height, width = self.image_size
        return {"columns": width, "rows": height, "scalar": 1, "none": 0}[order.axis]

    def _sides(self, order: Order) -> list[int]:
        """Return how many numbers are written for one of them, in each stroke."""
        return (
            self.patterns.sizes[order.axis] if _drawn(order) else [self._side(order)] * self.strokes
        )

    def _groups(self, order: Order) -> int:
        return self.channels if order.per == "channel" else 1

    def forward(self, h: Tensor) -> Instructions:
        """Map hidden states h [B T/strokes d_hidden] to instructions, by name [B C T *]."""
        return self.read(self.write(h))

    def write(self, h: Tensor) -> Tensor:
        """Map hidden states h [B T/strokes d_hidden] to numbers [B T/strokes sum(sizes)]."""
        return self.to_instructions(self.widen(h))

    def read(self, written: Tensor) -> Instructions:
        """Shape and activate what was written as what was ordered, by name [B C T *]."""
        parts = zip(self.orders, written.split(self.sizes, dim=-1), strict=True)
        return {order.name: self.read_order(order, part) for order, part in parts}

    def read_order(self, order: Order, written: Tensor) -> Tensor:
        """Return what was ordered [B C T *], of an order's part of what was written."""
        x = self.shaped(order, written)
        if order.axis == "none":
            return x.new_ones(*x.shape[:-1], 1)
        return self.scaled(order, ACTIVATIONS[order.activation](x))

    def shaped(self, order: Order, written: Tensor, places: Tensor | None = None) -> Tensor:
        """Return an order's patterns or numbers [B C T *], [B C T repeat *], before the activation.

        Args:
            order: what they are.
            written: its part of what was written.
            places: where patterns along its axis are looked at, in [0, 1]; None: at the pixels.
        """
        if _drawn(order):
            written = self.patterns(written, order.axis, places)
        elif places is not None:
            written = combined(written, interpolation_at(places, self._side(order)).mT.to(written))
        x = rearrange(written, "b t (s c d) -> b c (t s) d", s=self.strokes, c=self._groups(order))
        if order.repeat is None:
            return x
        return rearrange(x, "b c t (n d) -> b c t n d", n=order.repeat)

    def scaled(self, order: Order, activated: Tensor) -> Tensor:
        """Multiply by the scale of keys or values."""
        scale = self.factors.get(order.like or order.name, 1.0)
        return activated if scale == 1 else activated * scale

    def grown_from(
        self, old: "InstructionHead", state: Mapping[str, Tensor]
    ) -> dict[str, str | Tensor | None]:
        """Return the last layer of a head for smaller images, its patterns interpolated.

        Keys and values keep their inner products, up to `grown_scales`: pixels are interpolated,
        cosines sampled more finely, with those of higher frequencies at zero. Rates of rows are
        interpolated linearly. The pictures are the same, exactly where no activation comes between
        (a key of unit norm is none), nearly for softmax keys: of a painter of cats at 32×32, grown
        to 64×64 and averaged down, they differed by 1 %, and by 5 % with keys interpolated
        linearly. See `fpainter.generators.growing`.
        """
        if self.image_size == old.image_size or self.layout != old.layout:
            return {}

        def grown(numbers: Tensor) -> Tensor:
            parts = zip(self.orders, numbers.double().split(old.sizes), strict=True)
            return torch.cat([self._grown(order, part, old) for order, part in parts])

        names = ("to_instructions.weight", "to_instructions.bias")
        return {name: grown(state[name]) for name in names}

    def _grown(self, order: Order, numbers: Tensor, old: "InstructionHead") -> Tensor:
        """Return the numbers [N * side, ...] of an order for larger sides."""
        if order.axis not in ("columns", "rows"):
            return numbers
        levels = self.basis == "pixels" and order.activation in LEVELS
        larger = linear_interpolation if levels or not order.patterned else self.patterns.larger
        sides, before, num = self._sides(order), old._sides(order), self._patterns(order)
        grown = []
        for new, side, part in zip(
            sides, before, numbers.split([num * side for side in before]), strict=True
        ):
            vectors = part.unflatten(0, (num, side))
            grown.append(torch.einsum("ij,nj...->ni...", larger(new, side), vectors).flatten(0, 1))
        return torch.cat(grown)

    def grown_scales(self, key_factor: float, height: float, width: float) -> dict[str, float]:
        """Return the scales of this head when it is grown.

        Args:
            key_factor: by which the learning rule wants interpolated keys multiplied; values by
                its inverse.
            height: the new height over the old one.
            width: the same of widths.
        """
        of = {order.name: CHANGES.get(order.activation, 0.0) for order in self.orders}
        key_change, value_change = width ** of.get("key", 0.0), height ** of.get("value", 0.0)
        return {
            "key_scale": self.factors["key"] * key_factor / key_change,
            "value_scale": self.factors["value"] / key_factor / value_change,
        }


def _activated(order: Order, activation: str | None) -> Order:
    """Return the order with the activation that was asked for, if any."""
    if activation is None:
        return order
    return order._replace(activation=check_choice(f"{order.name}_activation", activation))


def _drawn(order: Order) -> bool:
    """Return whether an order is written in the head's basis."""
    return order.patterned and order.axis in ("columns", "rows")
