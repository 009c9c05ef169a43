"""Checks for learning rules, those of the package and your own."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fpainter.generators.learning_rules import LearningRule
from fpainter.generators.painting import Instructions, Order, Painting
from fpainter.nn.activations import ACTIVATIONS

Size = tuple[int, int, int, int, int]  # batch, channels, steps, height, width

# Few and many steps, one channel and four, no square
SIZES = ((2, 3, 7, 5, 6), (1, 1, 1, 4, 3), (1, 4, 70, 3, 9))
TOLERANCE = 1e-9


def check_rule(rule: LearningRule, sizes: Sequence[Size] = SIZES) -> None:
    """Check that a rule does what it says, in float64, with and without a canvas to begin with.

    The closed form, if there is one, must give the canvases of the loop and its gradients; every
    order must change the image; a painting must be readable at every step, and without some.

    Args:
        rule: to be checked.
        sizes: batch, channels, steps, height and width of what is painted.

    Raises:
        AssertionError: if anything of this is not so, with what and for which size.
    """
    axes = {order.axis for order in rule.orders if order.patterned}
    assert axes >= {"rows", "columns"}, "a rule must order a pattern of rows and one of columns"
    for size in sizes:
        written = random_numbers(rule, size)
        for canvas in (None, _random(size, *size[:2], *size[3:])):
            begun = "an empty" if canvas is None else "a given"
            where = f"{type(rule).__name__}, [B C T H W] = {size}, {begun} canvas"
            _check_values(rule, written, canvas, size, where)


def random_numbers(rule: LearningRule, size: Size) -> dict[str, Tensor]:
    """Return what a head might write for each order [B C T *], float64, before activations."""
    return {
        order.name: _random((*size, i), *_shape(order, size)) for i, order in enumerate(rule.orders)
    }


def _random(seed: Sequence[int], *shape: int) -> Tensor:
    # `hash` of whole numbers is the same in every process.
    random = torch.Generator().manual_seed(hash(tuple(seed)) % 2**63)
    return torch.randn(shape, generator=random, dtype=torch.float64)


def activated(rule: LearningRule, written: Mapping[str, Tensor]) -> Instructions:
    """Return instructions as the rule wants them."""
    return {o.name: ACTIVATIONS[o.activation](written[o.name]) for o in rule.orders}


def _shape(order: Order, size: Size) -> tuple[int, ...]:
    batch, channels, steps, height, width = size
    side = {"columns": width, "rows": height, "scalar": 1}[order.axis]
    repeat = () if order.repeat is None else (order.repeat,)
    return batch, channels if order.per == "channel" else 1, steps, *repeat, side


def _check_values(
    rule: LearningRule,
    written: Mapping[str, Tensor],
    canvas: Tensor | None,
    size: Size,
    where: str,
) -> None:
    leaves = {name: x.clone().requires_grad_(True) for name, x in written.items()}
    start = None if canvas is None else canvas.clone().requires_grad_(True)
    inputs = [*leaves.values(), *([] if start is None else [start])]

    painting = rule(activated(rule, leaves), start)
    looped = torch.stack([*rule.run(activated(rule, leaves), start)], dim=1)
    _check_painting(painting, looped, canvas, size, where)
    direction = torch.linspace(-1, 1, looped[:, -1].numel(), dtype=looped.dtype)
    gradients = [
        torch.autograd.grad((image.flatten() * direction).sum(), inputs, allow_unused=True)
        for image in (painting.image(), looped[:, -1])
    ]
    for name, ours, theirs in zip([*leaves, "canvas"], *gradients, strict=False):
        assert ours is not None, f"{where}: {name} does not reach the image"
        assert theirs is not None, f"{where}: {name} does not reach the image of the loop"
        # On an empty canvas nothing fades at first.
        assert canvas is None or theirs.any(), f"{where}: {name} changes nothing in the image"
        _check_near(ours, theirs, f"{where}: gradient of {name}")
    if len(looped[0]) > 2:
        for painted in (
            painting.without([2, 3]),
            rule(activated(rule, leaves), start).without([1]),
        ):
            some = painted.canvases([1, len(looped[0])])
            assert some.isfinite().all(), f"{where}: without some steps it is not finite"


def _check_painting(
    painting: Painting, looped: Tensor, canvas: Tensor | None, size: Size, where: str
) -> None:
    num = looped.shape[1]
    shape = tuple(painting.image().shape)
    assert shape == (*size[:2], *size[3:]), (
        f"{where}: the image is {shape}; something must be of each channel"
    )
    assert painting.num_steps == num, f"{where}: {painting.num_steps} steps, not {num}"
    _check_near(painting.image(), looped[:, -1], f"{where}: image")
    _check_near(painting.canvases(), looped, f"{where}: canvases")
    before = torch.zeros_like(looped[:, 0]) if canvas is None else canvas
    steps = torch.cat([before[:, None], looped], dim=1).diff(dim=1)
    _check_near(painting.updates(), steps, f"{where}: updates")


def _check_near(ours: Tensor, theirs: Tensor, what: str) -> None:
    difference = float(
        (ours - theirs).detach().abs().max() / theirs.detach().abs().max().clamp_min(1e-6)
    )
    assert difference < TOLERANCE, (
        f"{what}: the closed form differs from the loop by {difference:.1e}"
    )
