"""What the strokes of a page are made of: patterns that can be looked at between their pixels."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fpainter.generators.any_size import bound_to_its_size
from fpainter.generators.instruction_head import InstructionHead
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.painting import Instructions, Order
from fpainter.generators.sampler import evaluating
from fpainter.ops.precision import widen

# Along which axis the parts of a program of strokes lie; the others are of no place, or are read
# at the trained places.
ALONG = {
    "value": "rows", "rate": "rows", "fade_rows": "rows", "write": "columns",
    "fade_columns": "columns",
}  # fmt: skip
AT_MOST = 2  # orders that are multiplied
EXACT = 1e-5  # relative


class Pattern(NamedTuple):
    """What a head wrote along rows or columns.

    Attributes:
        order: what it is.
        written: [B C L *], a line for each step or stroke, before the activation.
        activated: the same, activated.
        smooth: what lies between pixels, ``cosine`` or ``linear``.
    """

    order: Order
    written: Tensor
    activated: Tensor
    smooth: str


def patterns(
    painter: FastWeightPainter,
    given: Sequence[tuple[Tensor, Tensor | None]],
    ordered: Instructions,
) -> dict[str, Pattern]:
    """Return the patterns with which images are painted, by the names of the orders.

    Softmax does not change if a number is added to all entries: they are written about zero.

    Args:
        painter: of the images.
        given: latents [B d_latent] and labels [B], if any, in batches.
        ordered: what the learning rule was given for all of them.
    """
    head, found, like = painter.head, dict[str, Pattern](), next(painter.parameters())
    with evaluating(painter):
        batches = [
            painter.write(z.to(like), None if label is None else label.to(like.device))
            for z, label in given
        ]
        parts = torch.cat(batches).split(head.sizes, dim=-1)
    for order, part in zip(head.orders, parts, strict=True):
        if order.axis in ("rows", "columns"):
            shaped = widen(head.shaped(order, part))
            if order.activation == "softmax":
                shaped = shaped - (shaped.amax(-1, True) + shaped.amin(-1, True)) / 2
            smooth = "cosine" if head.basis == "cosine" and order.patterned else "linear"
            activated = _lines(widen(ordered[order.name]))
            found[order.name] = Pattern(order, _lines(shaped), activated, smooth)
    return found


def _lines(found: Tensor) -> Tensor:
    """Put the patterns of a step, if there are several, in a row: [B C T (repeat) *]."""
    return found.flatten(2, 3) if found.ndim == 5 else found


class Recipe(NamedTuple):
    """How a part of a program is made of what was ordered.

    Attributes:
        strokes: for each stroke of a step, names of the orders that are multiplied.
        scale: [B C S 1], with which the products are multiplied.
    """

    strokes: list[list[str]]
    scale: Tensor


def recipes(
    parts: Mapping[str, Tensor], per_step: int, drawn: Mapping[str, Pattern]
) -> dict[str, Recipe]:
    """Find of what parts that lie along rows or columns are made.

    Rules need not say it: with few orders, all products can be tried.

    Args:
        parts: by name [B C S *].
        per_step: strokes S of a step.
        drawn: what there is to make them of.

    Raises:
        ValueError: if a part is made in another way.
    """
    found = {}
    for name, part in parts.items():
        axis = ALONG.get(name) or (drawn[name].order.axis if name in drawn else None)
        if axis is not None and part.shape[-1] > 1:
            given = {k: each.activated for k, each in drawn.items() if each.order.axis == axis}
            found[name] = _recipe(name, part, per_step, given)
    return found


def _recipe(name: str, part: Tensor, per_step: int, given: Mapping[str, Tensor]) -> Recipe:
    strokes, scales = [], []
    for index in range(per_step):
        wanted = part[:, :, index::per_step]
        for names, product in _products(given, index, wanted.shape[2]):
            length = product.square().sum(-1, keepdim=True).clamp_min(1e-30)
            scale = (wanted * product).sum(-1, keepdim=True) / length
            if (wanted - scale * product).norm() <= EXACT * wanted.norm():
                strokes.append(names)
                scales.append(scale)
                break
        else:
            raise ValueError(f"its rule makes the {name} of a stroke of more than products")
    return Recipe(strokes, torch.stack(scales, dim=3).flatten(2, 3))


def _products(
    given: Mapping[str, Tensor], index: int, num_steps: int
) -> Iterator[tuple[list[str], Tensor]]:
    """Yield products of orders [B C T *] at a stroke of each step, those of the fewest first."""
    lines = {
        name: x if x.shape[2] == num_steps else x[:, :, index :: x.shape[2] // num_steps]
        for name, x in given.items()
    }
    for num in range(1, AT_MOST + 1):
        for names in combinations(lines, num):
            product = lines[names[0]]
            for name in names[1:]:
                product = product * lines[name]
            yield list(names), product


def made_of_patterns(
    painter: FastWeightPainter,
    given: Sequence[tuple[Tensor, Tensor | None]],
    ordered: Instructions,
    parts: Mapping[str, Tensor],
    per_step: int,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Put patterns for the parts of a program, so that a page can look between their pixels.

    Args:
        painter: that was given latents and labels.
        given: both, in batches.
        ordered: what the learning rule was given for all of them.
        parts: what came of them, by name [B C S *].
        per_step: strokes S of a step.

    Returns:
        what is to be packed, by name [B C L *], and what places.js needs to make parts of it:
        ``patterns``, ``made``, and as ``oneSize`` why the parts stay as they are, if they do.
    """
    try:
        if (why := _why_not(painter)) is not None:
            raise ValueError(why)
        drawn = patterns(painter, given, ordered)
        found = recipes(parts, per_step, drawn)
    except ValueError as error:
        return dict(parts), {"patterns": {}, "made": {}, "oneSize": str(error)}
    used = {name for recipe in found.values() for names in recipe.strokes for name in names}
    packed = {name: part for name, part in parts.items() if name not in found}
    packed |= {f"{name} order": drawn[name].written for name in drawn if name in used}
    packed |= {
        f"{name} scale": recipe.scale
        for name, recipe in found.items()
        if (recipe.scale - 1).abs().max() > EXACT
    }
    about = {
        name: {
            "axis": drawn[name].order.axis,
            "activation": drawn[name].order.activation,
            "smooth": drawn[name].smooth,
        }
        for name in drawn
        if name in used
    }
    made = {name: recipe.strokes for name, recipe in found.items()}
    return packed, {"patterns": about, "made": made, "oneSize": None}


def _why_not(painter: FastWeightPainter) -> str | None:
    head: nn.Module = painter.head  # which may be somebody's own
    if not isinstance(head, InstructionHead):
        return f"{type(head).__name__} writes at the trained places only"
    return bound_to_its_size(painter)
