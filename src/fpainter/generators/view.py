"""Instructions at other places than those that a painter was trained at.

Keys and values are functions of the place: sums of cosines or, where a head's basis is pixels,
straight lines between them. What a rule reads from the canvas are inner products, and these stay
those of the trained size. So a painter of any size paints one and the same picture, seen at more or
fewer places, as bright and as sharp as its functions are.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from einops import reduce
from torch import Tensor

from fpainter.generators.instruction_head import InstructionHead
from fpainter.generators.painting import Instructions, Order
from fpainter.nn.activations import ACTIVATIONS
from fpainter.nn.sizes import as_size

AXES = ("rows", "columns")


class View(NamedTuple):
    """Which part of a picture is painted, with how many pixels.

    Attributes:
        image_size: (H, W) of what is painted.
        window: top, left, bottom and right edge, in parts of the picture's height and width.
    """

    image_size: tuple[int, int]
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    @classmethod
    def of(cls, image_size: int | Sequence[int], window: Sequence[float] | None = None) -> "View":
        """Check and return a view.

        Args:
            image_size: side, or (H, W).
            window: top, left, bottom, right in [0, 1]; None: the whole picture.

        Raises:
            ValueError: if the window is none.
        """
        size = as_size(image_size)
        if window is None:
            return cls(size)
        edges = tuple(window)
        numbers = all(type(edge) in (int, float) for edge in edges)
        if (
            len(edges) != 4
            or not numbers
            or not (0 <= edges[0] < edges[2] <= 1 and 0 <= edges[1] < edges[3] <= 1)
        ):
            raise ValueError(
                "must be [top,left,bottom,right], parts of the picture from 0 to 1, such as "
                f"[0.25,0.25,0.75,0.75]; got {list(edges)}"
            )
        top, left, bottom, right = map(float, edges)
        return cls(size, (top, left, bottom, right))

    def places(self, axis: str, side: int) -> Tensor:
        """Return places in [0, 1] along an axis, float64 [N samples], some for each pixel.

        Where pixels are larger than those of a picture of `side` pixels, there are several, to be
        averaged.

        Args:
            axis: ``rows`` or ``columns``.
            side: pixels of the trained picture along it.
        """
        index = AXES.index(axis)
        num, (begin, end) = self.image_size[index], self.window[index::2]
        samples = max(1, math.ceil(side * (end - begin) / num))
        inside = (torch.arange(num * samples, dtype=torch.float64) + 0.5) / (num * samples)
        return (begin + (end - begin) * inside).unflatten(0, (num, samples))


def instructions_at(head: InstructionHead, written: Tensor, view: View) -> Instructions:
    """Return what a head's numbers order at the places of a view, by name.

    Args:
        head: that wrote them.
        written: numbers [B T/strokes sum(sizes)].
        view: where to look.

    Returns:
        As `InstructionHead.read`, with a row or column for each of the view's.
    """
    parts = zip(head.orders, written.split(head.sizes, dim=-1), strict=True)
    return {order.name: _at(head, order, part, view) for order, part in parts}


def _at(head: InstructionHead, order: Order, written: Tensor, view: View) -> Tensor:
    if order.axis not in AXES:
        return head.read_order(order, written)
    side = head.image_size[AXES.index(order.axis)]
    places = view.places(order.axis, side)
    here, there = head.shaped(order, written), head.shaped(order, written, places.flatten())
    found = head.scaled(order, _activated(order.activation, here, there))
    return reduce(found, "... (n samples) -> ... n", "mean", n=len(places))


def _activated(activation: str, here: Tensor, there: Tensor) -> Tensor:
    """Activate vectors at other entries; those that are normalised, by what they are here."""
    if activation == "softmax":
        return (there - here.logsumexp(dim=-1, keepdim=True)).exp()
    if activation == "unit":
        return there / here.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    return ACTIVATIONS[activation](there)
