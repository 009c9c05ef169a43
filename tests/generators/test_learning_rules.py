"""Every learning rule: its closed form against its loop, and what it promises."""

import inspect
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fpainter.generators.learning_rules import KEY, RATE, VALUE, DeltaRule, LearningRule, Order
from fpainter.generators.learning_rules.coupled import CoupledRule
from fpainter.generators.learning_rules.delta_product import DeltaProductRule
from fpainter.generators.learning_rules.erase_write import EraseWriteRule
from fpainter.generators.learning_rules.frame_fade import FrameFadeRule
from fpainter.generators.learning_rules.over import OverRule
from fpainter.generators.learning_rules.recursive import RecursiveRule
from fpainter.generators.learning_rules.removal import RemovalRule
from fpainter.generators.learning_rules.shared_key import SharedKeyRule
from fpainter.generators.learning_rules.smudge import SmudgeRule
from fpainter.generators.painting import Instructions, ReplayedPainting
from fpainter.nn.activations import FASTEST_FADE
from fpainter.ops.strokes import Strokes
from fpainter.testing import activated, check_rule, random_numbers
from tests.generators.rules import CLASSES, RULES
from tests.reference.painting import (
    paint_frame_fade_channel,
    paint_over_channel,
    paint_removal_channel,
)

#         B  C  T  H  W
SIZES = [(1, 1, 1, 4, 3), (2, 3, 7, 5, 6), (1, 4, 65, 3, 5), (1, 1, 200, 4, 3)]
LONG = (2, 3, 65, 5, 6)  # one stroke more than are solved together
# Orders at zero that leave the canvas as it is.
QUIET = ("colour", "columns", "erase", "rate", "rows", "scrape", "write")
# Of single precision: the delta rule forgets what was rounded. Recursive least squares carries P
# along, of condition 1 + sum beta |k|^2 / ridge; Oja's canvas is blown up where beta |v|^2 > 2.
SINGLE = {"recursive": 2e-4, "oja": 2e-4}


def of_all(**but: Any) -> Any:
    return pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys(), **but)


def instructed(
    rule: LearningRule, size: tuple[int, int, int, int, int] = LONG, **orders: Any
) -> dict[str, Tensor]:
    """Return random instructions, those that are named all set to a number or to a tensor."""
    found = dict(activated(rule, random_numbers(rule, size)))
    for name in orders.keys() & found.keys():
        found[name] = torch.as_tensor(orders[name], dtype=torch.float64).expand_as(found[name])
    return found


def still(rule: LearningRule) -> dict[str, Any]:
    """Return fades of zero."""
    return {order.name: 0.0 for order in rule.orders if order.activation == "fade"}


def random_canvas(size: tuple[int, int, int, int, int] = LONG) -> Tensor:
    return torch.randn(*size[:2], *size[3:], dtype=torch.float64)


def apart(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def both(
    rule: LearningRule, instructions: Instructions, canvas: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return all canvases by the closed form, if there is one, and by the loop."""
    looped = torch.stack([*rule.run(instructions, canvas)], dim=1)
    return rule(instructions, canvas).canvases(), looped


@of_all()
def test_closed_form_is_the_loop(rule: LearningRule) -> None:
    check_rule(rule, SIZES)


def test_every_rule_says_what_it_is() -> None:
    assert len(CLASSES) >= 15
    for name, rule in CLASSES.items():
        assert rule.equation.startswith("W_"), name
        assert rule.source, name
        assert inspect.getdoc(rule) != inspect.getdoc(LearningRule), name


@of_all()
@pytest.mark.parametrize("fade", [0.0, -FASTEST_FADE])
@pytest.mark.parametrize("rate", [0.0, 1.0, 2.0])
def test_at_the_limits(rule: LearningRule, fade: float, rate: float) -> None:
    """No fade, the fastest one 65 times in a row, and rates that leave, store and mirror."""
    fades: dict[str, Any] = dict.fromkeys(still(rule), fade)
    instructions = instructed(rule, rate=rate, **fades)
    if rate == 2 and "key" in instructions:
        instructions["key"] = torch.nn.functional.normalize(instructions["key"], dim=-1)
    canvas = random_canvas()
    ours, theirs = both(rule, instructions, canvas)
    assert apart(ours, theirs) < 1e-9
    if not fades and fade:
        return
    single = {name: x.float().requires_grad_(True) for name, x in instructions.items()}
    painted = rule(single, canvas.float()).canvases()
    assert apart(painted.detach().double(), theirs) < SINGLE.get(name_of(rule), 2e-5)
    painted.sum().backward()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in single.values())


def name_of(rule: LearningRule) -> str:
    return type(rule).__module__.rpartition(".")[2]


@of_all()
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_single_precision(rule: LearningRule, size: tuple[int, int, int, int, int]) -> None:
    instructions, canvas = instructed(rule, size), random_canvas(size)
    expected = rule(instructions, canvas).canvases()
    single = {name: x.float() for name, x in instructions.items()}
    for canvases in both(rule, single, canvas.float()):
        assert apart(canvases.double(), expected) < SINGLE.get(name_of(rule), 2e-5)


@of_all()
def test_half_precision_is_painted_in_single(rule: LearningRule) -> None:
    half = {name: x.bfloat16() for name, x in instructed(rule, (2, 3, 7, 5, 6)).items()}
    canvas = random_canvas((2, 3, 7, 5, 6)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        painting = rule(half, canvas)
        ours = [painting.image(), painting.updates(), *both(rule, half, canvas)]
    wide = rule({name: x.float() for name, x in half.items()}, canvas.float())
    looped = torch.stack([*rule.run({n: x.float() for n, x in half.items()}, canvas.float())], 1)
    for got, expected in zip(
        ours, (wide.image(), wide.updates(), wide.canvases(), looped), strict=True
    ):
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, expected)


@of_all()
def test_nothing_ordered_leaves_the_canvas(rule: LearningRule) -> None:
    zeros: dict[str, Any] = dict.fromkeys(QUIET, 0.0)
    instructions = instructed(rule, **zeros, **still(rule))
    canvas = random_canvas()
    if getattr(rule, "first_rate", "applied") == "one":
        canvas.zero_()
    # The recursive rule's smallest rate is not zero.
    tolerance = 1e-3 if name_of(rule) == "recursive" else 1e-12
    image = rule(instructions, canvas).image()
    assert (image - canvas).abs().max() <= tolerance


# Rules, and their orders where they are the delta rule, from the delta rule's own.
AS_DELTA: dict[str, tuple[LearningRule, Callable[[Any, Any, Any], dict[str, Any]]]] = {
    "gated_delta": (RULES["gated_delta"], lambda k, v, beta: {"fade": 0.0}),
    "column_fade": (RULES["column_fade"], lambda k, v, beta: {"fade": 0.0}),
    "frame_fade": (RULES["frame_fade"], lambda *_: {"fade_rows": 0.0, "fade_columns": 0.0}),
    "smudge": (SmudgeRule(), lambda k, v, beta: {"amount": 0.0}),
    "erase_write": (
        EraseWriteRule(), lambda k, v, beta: {"erase": beta, "write": beta, "fade": 0.0}
    ),
    "removal": (RemovalRule(), lambda k, v, beta: {"removal": k, "scrape": beta, "fade": 0.0}),
    "delta_product": (
        DeltaProductRule(1),
        lambda k, v, beta: {"key": k[:, :, :, None], "value": v[:, :, :, None],
                            "rate": beta[:, :, :, None]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", AS_DELTA)
def test_what_becomes_of_the_delta_rule(name: str) -> None:
    given, canvas = instructed(DeltaRule()), random_canvas()
    rule, change = AS_DELTA[name]
    changed = instructed(
        rule, **{**(given if name != "delta_product" else {}), **change(*given.values())}
    )
    ours, theirs = rule(changed, canvas).canvases(), DeltaRule()(given, canvas).canvases()
    assert apart(ours, theirs) < 1e-12


def test_strokes_of_one_colour_are_shared_keys_with_equal_values() -> None:
    given, canvas = instructed(CoupledRule(), colour=1.0), random_canvas()
    value = given["value"].expand(-1, 3, -1, -1)
    shared = {"key": given["key"], "value": value, "rate": given["rate"]}
    ours, theirs = CoupledRule()(given, canvas), SharedKeyRule()(shared, canvas)
    torch.testing.assert_close(ours.canvases(), theirs.canvases())
    each = {name: x.expand(-1, 3, -1, -1) for name, x in shared.items()}
    torch.testing.assert_close(theirs.canvases(), DeltaRule()(each, canvas).canvases())


def test_what_covers_stays_within_its_colours_and_has_a_higher_rank() -> None:
    given = instructed(OverRule(), (2, 3, 4, 20, 24))
    canvas = random_canvas((2, 3, 4, 20, 24))
    canvases = OverRule()(given, canvas).canvases()
    seen = torch.cat([canvas.flatten(2), given["colour"][..., 0]], dim=2)
    low, high = (each[:, None, :, None, None] for each in (seen.amin(2), seen.amax(2)))
    assert ((low <= canvases) & (canvases <= high)).all()
    assert torch.linalg.matrix_rank(OverRule()(given).image()).min() == 2**4 - 1


@pytest.mark.parametrize("name", ["delta", "shared_key", "smudge", "column_fade", "recursive"])
def test_rank_is_at_most_the_number_of_steps(name: str) -> None:
    given = instructed(RULES[name], (2, 3, 4, 20, 24))
    assert torch.linalg.matrix_rank(RULES[name](given).image()).max() == 4


def test_normalised_at_rate_one_stores_exactly() -> None:
    rule, canvas = RULES["delta_normalised"], random_canvas()
    given = instructed(rule, rate=1.0)
    canvases = rule(given, canvas).canvases()  # [B T C H W]
    answers = torch.einsum("btchw,bctw->bcth", canvases, given["key"])
    torch.testing.assert_close(answers, given["value"])


@pytest.mark.parametrize("name", ["delta_implicit", "delta_exact"])
def test_steps_that_are_stable_at_any_rate(name: str) -> None:
    """The answer moves towards the value and never past it."""
    rule, canvas = RULES[name], random_canvas()
    given = instructed(rule, rate=1e3)
    canvases = rule(given, canvas).canvases(range(LONG[2] + 1))
    before, after = (
        torch.einsum("btchw,bctw->bcth", some, given["key"]) - given["value"]
        for some in (canvases[:, :-1], canvases[:, 1:])
    )
    assert ((before * after >= -1e-9) & (after.abs() < 0.01 * before.abs() + 1e-9)).all()


def test_the_implicit_step_minimises_what_it_says() -> None:
    rule, before = RULES["delta_implicit"], random_canvas()
    given = {name: x[:, :, :1] for name, x in instructed(rule).items()}
    after = rule(given, before).image().requires_grad_(True)
    key, value, rate = (x[:, :, 0] for x in given.values())
    missed = value - torch.einsum("bchw,bcw->bch", after, key)
    loss = (after - before).square().sum() + (rate * missed.square()).sum()
    (gradient,) = torch.autograd.grad(loss, after)
    assert gradient.abs().max() < 1e-12


def test_the_exact_step_is_many_small_ones() -> None:
    rule, canvas, many = RULES["delta_exact"], random_canvas(), 4096
    given = {name: x[:, :, :1] for name, x in instructed(rule).items()}
    small = {name: x.repeat_interleave(many, dim=2) for name, x in given.items()}
    expected = DeltaRule()(small | {"rate": small["rate"] / many}, canvas).image()
    assert apart(rule(given, canvas).image(), expected) < 1e-3


def test_recursive_least_squares_keeps_promises() -> None:
    size = (2, 3, 16, 10, 24)
    given = instructed(DeltaRule(), size, rate=1.0)
    missed = {}
    for name, rule in {"delta": DeltaRule(), "recursive": RecursiveRule(0.01)}.items():
        answers = torch.einsum("bchw,bctw->bcth", rule(given).image(), given["key"])
        missed[name] = float((answers - given["value"]).norm() / given["value"].norm())
    assert missed["recursive"] < 0.5 * missed["delta"]
    # The canvas is what no loop is needed to say: the solution of weighted least squares.
    key, value = given["key"], given["value"]
    weighed = key.mT @ key + 0.01 * torch.eye(24, dtype=torch.float64)
    expected = torch.linalg.solve(weighed, key.mT @ value).mT
    torch.testing.assert_close(RecursiveRule(0.01)(given).image(), expected)


@pytest.mark.parametrize("ridge", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize("rate", [1e-5, 1.0 - 1e-7])
def test_recursive_at_the_limits_of_its_rate(ridge: float, rate: float) -> None:
    rule, canvas = RecursiveRule(ridge), random_canvas()
    assert apart(*both(rule, instructed(rule, rate=rate), canvas)) < 1e-9


@pytest.mark.parametrize("with_canvas", [False, True])
@pytest.mark.parametrize(
    ("rule", "reference"),
    [(FrameFadeRule(), paint_frame_fade_channel), (RemovalRule(), paint_removal_channel),
     (OverRule(), paint_over_channel)],
    ids=["frame_fade", "removal", "over"],
)  # fmt: skip
def test_scalar_formula(
    rule: LearningRule, reference: Callable[..., list[Any]], with_canvas: bool
) -> None:
    size = (2, 3, 5, 4, 6)
    fades = dict.fromkeys(still(rule), -FASTEST_FADE * torch.rand(1, dtype=torch.float64))
    given = instructed(rule, size, **fades)
    canvas = random_canvas(size) if with_canvas else None
    canvases = rule(given, canvas).canvases(range(6)).numpy()
    for b, c in itertools.product(range(2), range(3)):
        orders = [x[b, c % x.shape[1]].numpy() for x in given.values()]
        start = np.zeros((4, 6)) if canvas is None else canvas[b, c].numpy()
        np.testing.assert_allclose(canvases[b, :, c], reference(*orders, start), atol=1e-12)


class Wrong(DeltaRule):
    """Its closed form reads a little less than its step."""

    def strokes(self, key: Tensor, value: Tensor, rate: Tensor) -> Strokes:
        return Strokes(value, write=key, read=0.999 * key, rate=rate)


class Unused(LearningRule):
    """It orders more than it uses."""

    orders = (KEY, VALUE, RATE, Order("wish", "scalar"))

    def step(self, canvas: Tensor, *args: Any, **orders: Any) -> Tensor:
        return DeltaRule().step(canvas, orders["key"], orders["value"], orders["rate"])


class Ineffective(Unused):
    """What it orders more comes to nothing."""

    def step(self, canvas: Tensor, *args: Any, **orders: Any) -> Tensor:
        return super().step(canvas, **orders) + 0 * orders["wish"].unsqueeze(-1)


class OneSided(LearningRule):
    """It orders nothing along the rows."""

    orders = (KEY, RATE)


class Grey(DeltaRule):
    """All its orders are for all channels."""

    orders = tuple(order._replace(per="image") for order in (KEY, VALUE, RATE))


class Unbounded(LearningRule):
    """Its steps divide by what may be nothing."""

    def step(self, canvas: Tensor, key: Tensor, value: Tensor, rate: Tensor) -> Tensor:
        return canvas + rate.unsqueeze(-1) * value.unsqueeze(-1) * key.unsqueeze(-2) / canvas


class Silent(LearningRule):
    """It does not say what a step does."""


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Wrong(), r"Wrong, \[B C T H W\] = \(2, 3, 7, 5, 6\), an empty canvas: image: the closed"),
        (Unused(), "wish does not reach the image"),
        (Ineffective(), "a given canvas: wish changes nothing in the image"),
        (OneSided(), "must order a pattern of rows and one of columns"),
        (Grey(), r"the image is \(2, 1, 5, 6\); something must be of each channel"),
        (Unbounded(), "an empty canvas: image: the closed form differs from the loop by nan"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_the_check_can_fail(rule: LearningRule, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_rule(rule)
    with pytest.raises(NotImplementedError, match="Silent does not say what a step does"):
        check_rule(Silent())


def test_a_painting_without_a_closed_form_is_painted_again() -> None:
    given, canvas = instructed(OverRule(), (2, 3, 7, 5, 6)), random_canvas((2, 3, 7, 5, 6))
    painting = OverRule()(given, canvas)
    assert isinstance(painting, ReplayedPainting)
    some = {name: x[:, :, [0, 2, 3, 4, 6]] for name, x in given.items()}
    without = painting.without([2]).without([6])
    assert without.left_out == {2, 6}
    torch.testing.assert_close(without.image(), OverRule()(some, canvas).image())


def test_strokes_that_are_left_out_write_nothing() -> None:
    rule, size = DeltaProductRule(2), (2, 3, 7, 5, 6)
    painting = rule(instructed(rule, size), random_canvas(size))
    without = painting.without([2]).without([6])
    assert without.left_out == {2, 6}
    updates = painting.updates()
    kept = updates.sum(dim=1) - updates[:, 1] - updates[:, 5]
    torch.testing.assert_close(without.image() - without.canvases([0])[:, 0], kept)
