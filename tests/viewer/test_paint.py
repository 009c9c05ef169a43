"""What paint.js does in Node: every learning rule as Python paints it, colours, links."""

import importlib
import pkgutil
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from fpainter.generators import learning_rules
from fpainter.generators.learning_rules import DeltaRule, LearningRule, OjaRule, SumRule
from fpainter.generators.learning_rules.delta_product import DeltaProductRule
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.painting import Painting, StrokePainting
from fpainter.generators.view import View
from fpainter.ops import closed_form
from fpainter.pictures.selection import edited
from fpainter.viewer.page import work
from tests.viewer.conftest import NODE, InNode
from tests.viewer.painters import HEIGHT, WIDTH, T, latents, sampler

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


def rules() -> dict[str, LearningRule]:
    """Return every rule of the package by the name of its class."""
    names = [module.name for module in pkgutil.iter_modules(learning_rules.__path__)]
    found = dict[str, LearningRule]()
    for name in names:
        module = importlib.import_module(f"{learning_rules.__name__}.{name}")
        for each in vars(module).values():
            if isinstance(each, type) and issubclass(each, LearningRule):
                found[each.__name__] = each()
    return {name: rule for name, rule in found.items() if type(rule) is not LearningRule}


# Oja's rule blows up with large values.
BOUNDED = {"value_activation": "tanh", "value_scale": 0.5, "key_scale": 4.0}
UNIT = {"image_range": "unit"}
KINDS: dict[str, dict[str, Any]] = {
    **{name: {"rule": rule} for name, rule in rules().items()},
    "first rate one": {"rule": DeltaRule("one"), "activation": "sigmoid", **UNIT},
    "exact step": {"rule": DeltaRule(step_size="exact"), "activation": "identity"},
    "a rate for each row": {"rule": DeltaRule(), "rate": "row"},
    "three strokes": {"rule": DeltaProductRule(3)},
    "no rates": {"rule": SumRule(), "rate": "none", "key_activation": "identity"},
    "OjaRule": {"rule": OjaRule(), "key_activation": "softmax", **BOUNDED},
    "oja, a rate for each row": {"rule": OjaRule(), "rate": "row", **BOUNDED},
    "oja, softmax": {"rule": OjaRule("softmax"), "activation": "relu"},
}


# Paints sample 0 of `given.painter` for each of `given.views`, [window, size] or null, which is as
# trained, and each of `given.runs`: [mode, changes], the changes a list of [step from 0, change].
PAINTED = """
const {painter, runs, views} = given, stored = unpackParts(painter, painter.samples[0]);
const here = sampleAt(painter, stored);
return views.map(view => {
  const look = view ? lookThrough(painter, ...view) : {}, larger = sized(painter, look);
  const there = view ? sampleAt(painter, stored, look) : here;
  return runs.map(([mode, changes]) => {
    const change = rate => changedRates(painter, here.rate, new Map(changes), rate);
    const replay = recorded(painter, here, there, look, mode === "rule" ? change : undefined);
    const canvas = blank(painter, look), shown = {...replay, rate: change(there.rate)};
    for (let t = 0; t < painter.steps; t += 2) {
      paintSteps(canvas, larger, shown, t, Math.min(t + 2, painter.steps));
    }
    const pixels = new Uint8ClampedArray(4 * larger.height * larger.width);
    toPixels(canvas, painter.channels, pixels, byteOf(painter));
    return [...pixels];
  });
});
"""
CHANGES = [[0, {"muted": True, "rates": [0.5]}], [2, {"muted": False, "rates": [0.25]}],
           [T, {"muted": True, "rates": []}]]  # fmt: skip
RUNS: list[tuple[str, list[Any]]] = [
    (mode, changes) for changes in ([], CHANGES) for mode in ("terms", "rule")
]


def changed(rule: LearningRule, painting: Painting, mode: str) -> Tensor:
    """Return the canvas [B C H W] with `CHANGES`, as Python has it."""
    orders = rule.applied(painting.instructions, painting.canvas)
    strokes = rule.strokes(**orders)
    if not isinstance(painting, StrokePainting):
        return painting.without([1]).image()
    was = (orders["rate"] if strokes is None else strokes.rate).expand(
        -1, painting.rows.shape[1], -1, -1
    )
    steps = was.unflatten(2, (T, -1)).clone()
    steps[:, :, 0] = 0
    steps[:, 0, 2] *= 0.25 / steps[:, 0, 2].mean(dim=(1, 2), keepdim=True)
    rate = steps.flatten(2, 3)
    if mode == "terms":
        rows, cols = painting.rows * rate / was, painting.cols
    elif strokes is None:
        rows, cols = closed_form.oja_rule(
            orders["key"], orders["value"], rate, painting.canvas,
            rule.corrected_key_activation == "softmax",
        )  # fmt: skip
    else:
        rows = closed_form.program(*strokes._replace(rate=rate)[:-1], painting.canvas)
        cols = painting.cols
    return replace(painting, rows=rows, cols=cols).image()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("channels", "learned"), [(1, True), (3, False), (3, True), (4, False)], ids=str
)
def test_page_paints_what_python_paints(
    kind: str, channels: int, learned: bool, in_node: InNode
) -> None:
    drawn = sampler(**{"channels": channels, "learned": learned} | KINDS[kind])
    z, painter = latents(), drawn.generator
    assert isinstance(painter, FastWeightPainter)
    (pages,) = in_node(PAINTED, painter=work(drawn, z, "", 0, ""), runs=RUNS, views=[None])
    for (mode, changes), pixels in zip(RUNS, pages, strict=True):
        exported = drawn(z)[0].int()
        assert exported.float().std() > 10
        if changes:
            before = exported
            with torch.inference_mode():
                canvas = changed(painter.learning_rule, painter.paint(z), mode)
                exported = drawn.image_range.to_bytes(painter.activate(canvas))[0].int()
            assert (exported - before).abs().max() > 5
        assert (pixels_of(pixels, channels) - exported).abs().max() <= 1


def pixels_of(pixels: list[int], channels: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Tensor:
    """Return the bytes [C H W] of a canvas painted by the page."""
    shown = torch.tensor(pixels).reshape(*size, 4).movedim(-1, 0)
    if channels < 4:
        assert (shown[3] == 255).all()
    return shown[:channels]


WHOLE = (0.0, 0.0, 1.0, 1.0)
VIEWS: list[tuple[tuple[float, ...], tuple[int, int]]] = [
    (WHOLE, (HEIGHT, WIDTH)), (WHOLE, (29, 50)), (WHOLE, (3, 5)),
    ((0.3, 0.1, 0.55, 0.41), (20, 31)),
]  # fmt: skip
ANYWHERE = {kind: given for kind, given in KINDS.items() if given["rule"].anywhere}


@pytest.mark.parametrize("basis", ["cosine", "pixels"])
@pytest.mark.parametrize("kind", ANYWHERE)
def test_page_paints_at_any_size_what_python_paints(kind: str, basis: str, in_node: InNode) -> None:
    drawn, z = sampler(**{"basis": basis} | ANYWHERE[kind]), latents()
    page = work(drawn, z, "", 0, "")
    assert page["oneSize"] is None
    found = in_node(PAINTED, painter=page, runs=RUNS[:1], views=VIEWS)
    for (window, size), (pixels,) in zip(VIEWS, found, strict=True):
        painted = edited(drawn, view=View.of(size, window))(z)[0].int()
        assert (pixels_of(pixels, 3, size) - painted).abs().max() <= 1
        assert painted.float().std() > 3


def test_changes_are_seen_at_any_size(in_node: InNode) -> None:
    drawn, z, view = sampler(basis="cosine"), latents(), View.of(*VIEWS[3][::-1])
    page = work(drawn, z, "", 0, "")
    ((_, _, terms, rule),) = in_node(PAINTED, painter=page, runs=RUNS, views=VIEWS[3:])
    painter = drawn.generator
    assert isinstance(painter, FastWeightPainter)
    with torch.inference_mode():
        here, there = painter.paint(z), painter.paint(z, view=view)
        assert isinstance(there, StrokePainting)
        was, key = here.instructions["rate"], here.instructions["key"]
        rate = was.clone()
        rate[:, :, 0] = 0
        rate[:, 0, 2] = 0.25
        rows = closed_form.program(there.instructions["value"], key, key, rate)
        for pixels, written in [(terms, there.rows * rate / was), (rule, rows)]:
            canvas = painter.activate(replace(there, rows=written).image())
            painted = drawn.image_range.to_bytes(canvas)[0].int()
            assert (pixels_of(pixels, 3, view.image_size) - painted).abs().max() <= 1
            assert (
                painted - drawn.image_range.to_bytes(painter.activate(there.image()))[0].int()
            ).abs().max() > 5


@pytest.mark.parametrize("kind", ["OjaRule", "RecursiveRule", "oja, a rate for each row"])
def test_what_has_one_size_is_enlarged(kind: str, in_node: InNode) -> None:
    drawn, z = sampler(learned=True, **KINDS[kind]), latents()
    page = work(drawn, z, "", 0, "")
    size = (3 * HEIGHT, 2 * WIDTH)
    ((pixels,),) = in_node(PAINTED, painter=page, runs=RUNS[:1], views=[(WHOLE, size)])
    enlarged = drawn(z)[0].int().repeat_interleave(3, 1).repeat_interleave(2, 2)
    assert (pixels_of(pixels, 3, size) - enlarged).abs().max() <= 1
    assert "learned canvas" in page["oneSize"]


def test_rates_beyond_one_are_known(in_node: InNode) -> None:
    z = latents()
    assert work(sampler(), z, "", 0, "")["highestRate"] == 1
    drawn = sampler(DeltaRule(step_size="normalised"), rate="row")
    data = work(drawn, z, "", 0, "")
    painter = drawn.generator
    assert isinstance(painter, FastWeightPainter)
    with torch.inference_mode():
        given = painter.paint(z).instructions
        length = given["key"].square().sum(dim=-1, keepdim=True)
        highest = (given["rate"] / length).max().item()
    assert highest > 1
    assert data["highestRate"] == pytest.approx(highest)
    largest = (
        "const {painter} = given;"
        "const all = painter.samples.map(packed => unpackParts(painter, packed));"
        "return Math.max(...all.flatMap(stored => [...sampleAt(painter, stored).rate.data]));"
    )
    assert in_node(largest, painter=data) == pytest.approx(highest, rel=1e-4)
    assert in_node("return rateLimits([given.painter]);", painter=data) == pytest.approx(
        [-highest, 2 * highest]
    )


def test_update_is_shown_with_its_signs(in_node: InNode) -> None:
    shown = in_node(
        "const pixels = new Uint8ClampedArray(12);"
        "toPixels([-2, 0, 1], 1, pixels, signedByteOf([-2, 0, 1]));"
        "const none = new Uint8ClampedArray(4); toPixels([0], 1, none, signedByteOf([0]));"
        "return [[...pixels], [...none]];"
    )
    assert shown == [[0, 0, 0, 255, 128, 128, 128, 255, 191, 191, 191, 255], [128, 128, 128, 255]]


LIMITS = {"images": 5, "steps": 7, "lastStep": 8, "channels": 3, "rates": [-1, 2]}
READ = (
    "const {changes, ...state} = readLink(given.link, given.limits);"
    "return {...state, changes: [...changes]};"
)


def test_link_keeps_the_state(in_node: InNode) -> None:
    link = "image=3&step=5&mode=rule&mute=2,7&rate=2:0:0.5,4:2:-0.125&view=4:0.5:0.1:1"
    state = in_node(READ, link=link, limits=LIMITS)
    assert state == {
        "image": 3, "step": 5, "mode": "rule",
        "changes": [
            [1, {"muted": True, "rates": [0.5]}],
            [6, {"muted": True, "rates": []}],
            [3, {"muted": False, "rates": [None, None, -0.125]}],
        ],
        "view": {"zoom": 4, "x": 0.5, "y": 0.1, "sharp": True},
    }  # fmt: skip
    written = in_node(
        "return writeLink(readLink(given.link, given.limits));", link=link, limits=LIMITS
    )
    assert written == link


@pytest.mark.parametrize(
    "link",
    ["", "image", "image=5&step=9", "image=-1&step=1e1&mode=rules", "%&&=%zz&step=%31%30",
     "mute=0,8,x,,1.5,999999999999&rate=1:3:0.5,1:0:9,1:2:-9,1:0:x,1,1:0,0:0:0.5,::,1:-1:0.5",
     "image=<script>&__proto__=1&step=NaN&rate=1:0:Infinity", "view=x:0:0:1", "view=9",
     "view=1:-3:4:0"],
)  # fmt: skip
def test_broken_links_are_passed_over(link: str, in_node: InNode) -> None:
    state = in_node(READ, link=link, limits=LIMITS)
    view = {"zoom": 1, "x": 0, "y": 0, "sharp": False}
    assert state == {"image": 0, "step": 8, "mode": "terms", "changes": [], "view": view}


def test_zooming_keeps_the_point_and_stays_within_the_picture(in_node: InNode) -> None:
    closer, window, corner, back = in_node(
        "const closer = zoomed(WHOLE, 4, [.75, .5]);"
        "return [closer, windowOf(closer), moved(closer, 9, -9), zoomed(closer, 1e-9)];"
    )
    assert closer == {"zoom": 4, "x": 0.5625, "y": 0.375, "sharp": True}
    assert window == [0.375, 0.5625, 0.625, 0.8125]
    assert corner == {"zoom": 4, "x": 0.75, "y": 0, "sharp": True}
    assert back == {"zoom": 1, "x": 0, "y": 0, "sharp": True}
