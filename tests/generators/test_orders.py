"""What learning rules order, as the head writes it, and as it is when a painter has grown."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import nn

from fpainter.generators.growing import grown_scales
from fpainter.generators.instruction_head import InstructionHead
from fpainter.generators.learning_rules import DeltaRule, LearningRule
from fpainter.generators.painter import FastWeightPainter
from fpainter.nn.activations import ACTIVATIONS
from fpainter.nn.interpolation import isometric_interpolation, linear_interpolation
from tests.generators.rules import RULES
from tests.generators.test_growing import grow
from tests.generators.test_painter import D_HIDDEN, D_LATENT, STEPS, arguments, build

of_all = pytest.mark.parametrize("name", RULES)
HEIGHT, WIDTH = 7, 4
# What is written at each step, of 3 channels at 7×4; three times 4 + 7 + 1 for the delta rule.
NUMBERS = {
    "delta": 36, "sum": 36, "oja": 36, "recursive": 36, "gated_delta": 39, "column_fade": 48,
    "frame_fade": 69, "erase_write": 66 + 3 * 4, "removal": 36 + 3 * 12, "smudge": 51,
    "delta_product": 72, "shared_key": 5 + 21, "coupled": 12 + 3, "over": 11 + 3, "veil": 22 + 3,
}  # fmt: skip


def head_of(rule: LearningRule, **options: Any) -> InstructionHead:
    return InstructionHead(D_HIDDEN, (HEIGHT, WIDTH), 3, rule, **options)


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_of_a_step(name: str) -> None:
    assert sum(head_of(RULES[name]).sizes) == NUMBERS[name]
    assert sum(head_of(RULES[name], strokes=2).sizes) == 2 * NUMBERS[name]


@of_all
def test_orders_have_the_shapes_that_rules_are_given(name: str) -> None:
    rule, head = RULES[name], head_of(RULES[name], strokes=2)
    found = head(torch.randn(2, 5, D_HIDDEN))
    assert list(found) == [order.name for order in rule.orders]
    for order in rule.orders:
        side = {"columns": WIDTH, "rows": HEIGHT, "scalar": 1}[order.axis]
        channels = 3 if order.per == "channel" else 1
        repeat = () if order.repeat is None else (order.repeat,)
        assert found[order.name].shape == (2, channels, 10, *repeat, side), order.name
    assert rule(found).image().shape == (2, 3, HEIGHT, WIDTH)


@of_all
def test_gradient_reaches_every_weight(name: str) -> None:
    painter = build(rule=RULES[name], learned=True)
    painter(torch.randn(2, D_LATENT)).square().sum().backward()
    for parameter_name, parameter in painter.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", ["gated_delta", "column_fade", "frame_fade", "removal", "smudge"])
def test_key_value_and_rate_come_first(name: str) -> None:
    """What is written by the same weights is the same, whatever else a rule orders."""
    head, delta = head_of(RULES[name]), head_of(DeltaRule())
    layer, first = head.to_instructions, delta.to_instructions
    num = len(first.weight)
    layer.weight.data[:num], layer.bias.data[:num] = first.weight.data, first.bias.data
    h = torch.randn(2, 5, D_HIDDEN)
    found, expected = head(h), delta(h)
    for part in ("key", "value", "rate"):
        torch.testing.assert_close(found[part], expected[part])


def test_the_layout_is_steps_channels_repeats_entries() -> None:
    """Entry by entry from the numbers that are written."""
    rule = RULES["delta_product_3"]
    head = head_of(rule, strokes=2)
    written = torch.randn(1, 2, sum(head.sizes))
    key, value, rate = head.read(written).values()
    sizes = [2 * 3 * 3 * side for side in (WIDTH, HEIGHT, 1)]
    assert head.sizes == sizes
    raw = [part.reshape(2, 2, 3, 3, -1) for part in written[0].split(sizes, dim=-1)]
    for step in range(4):
        for channel in range(3):
            k, v, beta = (part[step // 2, step % 2, channel] for part in raw)
            torch.testing.assert_close(value[0, channel, step], v)
            torch.testing.assert_close(key[0, channel, step], k / k.norm(dim=-1, keepdim=True))
            torch.testing.assert_close(rate[0, channel, step], 2 * beta.sigmoid())


def test_activations_can_be_others() -> None:
    head = head_of(RULES["smudge"], key_activation="unit", rate_activation="double_sigmoid")
    found = {order.name: order.activation for order in head.orders}
    assert found["source"] == found["key"] == "unit"  # what is read like a key is one
    assert (found["rate"], found["amount"]) == ("double_sigmoid", "low_sigmoid")
    assert {o.activation for rule in RULES.values() for o in rule.orders} <= {*ACTIVATIONS}


ANY_RATES = ("delta", "gated_delta", "delta_product", "shared_key", "coupled")


@pytest.mark.parametrize(
    ("name", "rate"),
    [*product(ANY_RATES, ("row", "none")), ("recursive", "none")],
)
def test_rates_of_rows_and_none(name: str, rate: str) -> None:
    painter = build(rule=RULES[name], rate=rate)
    painting = painter.paint(torch.randn(2, D_LATENT))
    rates = painting.instructions["rate"]
    assert rates.shape[-1] == (7 if rate == "row" else 1)
    assert rate == "row" or (rates == 1).all()
    *_, looped = painter.learning_rule.run(painting.instructions, None)
    torch.testing.assert_close(painting.image(), looped, rtol=1e-4, atol=1e-5)


def test_rates_that_a_rule_cannot_have_are_refused() -> None:
    with pytest.raises(ValueError, match="rate=row: OverRule orders no rate"):
        head_of(RULES["over"], rate="row")
    with pytest.raises(ValueError, match="rate=row: RecursiveRule takes one rate for each step"):
        head_of(RULES["recursive"], rate="row")
    painting = build(rule=RULES["recursive"]).paint(torch.randn(1, D_LATENT))
    rates = painting.instructions["rate"].expand(-1, -1, -1, 7)
    with pytest.raises(ValueError, match="one rate for each step, rate=scalar; got 7"):
        RULES["recursive"]({**painting.instructions, "rate": rates}, None)


def test_a_head_without_the_rule_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match=r"FrameFadeRule orders fade_columns, fade_rows, too, .* head\.learning_rule",
    ):
        FastWeightPainter(**arguments() | {"learning_rule": RULES["frame_fade"]})


@pytest.mark.parametrize("key", ["identity", "unit"])
@pytest.mark.parametrize(
    "name", ["gated_delta", "coupled", "shared_key", "delta_product_3", "recursive", "smudge"]
)
def test_the_same_picture_larger(name: str, key: str) -> None:
    """Exactly, where all that is interpolated keeps its inner products."""
    small, large = (8, 6), (11, 15)
    options: dict[str, Any] = {"rule": RULES[name], "key_activation": key, "gain": 3.0}
    old = build(small, **options)
    new = grow(old, large, **options)
    z = torch.randn(3, D_LATENT)
    up, across = (isometric_interpolation(n, o).float() for n, o in zip(large, small, strict=True))
    expected = up @ old.paint(z).image() @ across.T
    assert (new.paint(z).image() - expected).abs().max() < 1e-4 * expected.abs().max()


# Oja's rule is blown up by its values at this gain.
@pytest.mark.parametrize("name", [name for name in RULES if not name.startswith("oja")])
@pytest.mark.parametrize("basis", ["pixels", "cosine"])
def test_nearly_the_same_picture_larger(name: str, basis: str) -> None:
    """Fades, gates and mattes have the same levels, on which softmax keys do not agree wholly."""
    options: dict[str, Any] = {"rule": RULES[name], "gain": 2.0, "basis": basis}
    old = build((16, 16), **options)
    new = grow(old, (32, 32), **options)
    z = torch.randn(3, D_LATENT)
    expected, shown = old.paint(z).image(), nn.functional.avg_pool2d(new.paint(z).image(), 2)
    assert (shown - expected).norm() / expected.norm() < 0.15


def test_levels_are_interpolated_linearly() -> None:
    old = build((8, 6), rule=RULES["over"], gain=3.0)
    new = grow(old, (16, 12), rule=RULES["over"], gain=3.0)
    assert grown_scales(old, (16, 12)) == {"key_scale": 1.0, "value_scale": 1.0}
    z = torch.randn(3, D_LATENT)
    for name, (large, small) in {"columns": (12, 6), "rows": (16, 8)}.items():
        logits = old.paint(z).instructions[name].logit() + 2
        expected = (logits @ linear_interpolation(large, small).float().T - 2).sigmoid()
        torch.testing.assert_close(new.paint(z).instructions[name], expected)
    assert old.paint(z).num_steps == STEPS
