"""The viewer's page: well-formed, alone, and painting in JavaScript what Python paints."""

import base64
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fpainter.generators.canvas import LearnedCanvas
from fpainter.generators.input_generators import RepeatLatent
from fpainter.generators.instruction_head import InstructionHead
from fpainter.generators.learning_rules import DeltaRule, LearningRule, OjaRule, SumRule
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.painting import StrokePainting
from fpainter.generators.refiners import UNetRefiner
from fpainter.generators.sampler import Sampler
from fpainter.generators.sequence_processors import LSTMProcessor
from fpainter.nn.image_range import ImageRange
from fpainter.viewer import page as viewer_page
from fpainter.viewer.page import html, pack, work

PAINT = Path(viewer_page.__file__).with_name("paint.js")
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")
T, HEIGHT, WIDTH = 7, 8, 12


class Page(HTMLParser):
    """Checks nesting while it reads; keeps references, tags, labels and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str | None] = []
        self.tags: list[str] = []
        self.unlabelled: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.references += [given[k] for k in ("src", "href", "srcset", "data") if k in given]
        if tag in ("input", "select") and "label" not in self.open and "aria-label" not in given:
            self.unlabelled.append(given.get("id") or tag)
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def sampler(
    rule: LearningRule | None = None, image_range: str = "signed", channels: int = 3,
    activation: str = "tanh", learned: bool = False, refined: bool = False, **head: Any,
) -> Sampler:  # fmt: skip
    """Build a painter with strong strokes, so that errors would show."""
    size = (HEIGHT, WIDTH)
    painter = FastWeightPainter(
        num_steps=T, d_latent=4, d_hidden=16, image_size=size, channels=channels,
        input_generator=RepeatLatent(d_latent=4, num_steps=T),
        sequence_processor=LSTMProcessor(4, 16, num_layers=1, d_latent=4),
        head=InstructionHead(16, size, channels, gain=20.0, **head),
        learning_rule=rule or DeltaRule(),
        canvas=LearnedCanvas(size, channels) if learned else None,
        refiner=UNetRefiner(size, channels, width=4, num_groups=2) if refined else None,
        output_activation=activation,
    )  # fmt: skip
    return Sampler(painter, ImageRange(image_range))


KINDS: dict[str, dict[str, Any]] = {
    "delta": {},
    "delta, first rate one": {"rule": DeltaRule("one"), "image_range": "unit"},
    "first rate one on a learned canvas": {"rule": DeltaRule("one"), "learned": True},
    "a rate for each row": {"rate": "row", "learned": True},
    "grey": {"channels": 1, "activation": "sigmoid", "image_range": "unit"},
    "alpha": {"channels": 4, "activation": "identity"},
    "sum": {"rule": SumRule(), "rate": "none", "key_activation": "identity"},
    "oja": {"rule": OjaRule(), "key_activation": "softmax", "value_activation": "tanh"},
    "oja, softmax": {"rule": OjaRule("softmax"), "activation": "relu"},
}


def latents() -> Tensor:
    return torch.randn(3, 4)


def unpacked(text: str, size: int) -> Tensor:
    """Twin of the page's `unpack`."""
    read = base64.b64decode(text)
    count = len(read) // (4 + 2 * size)
    scales = np.frombuffer(read, "<f4", count)
    entries = np.frombuffer(read, "<i2", offset=4 * count).reshape(count, size)
    return torch.from_numpy(entries * scales[:, None])


def in_node(code: str, **given: Any) -> Any:
    """Run code after paint.js; it returns plain data."""
    script = f"{PAINT.read_text()}\nconst given = {json.dumps(given)};\n"
    script += f"console.log(JSON.stringify((() => {{ {code} }})()));"
    assert NODE is not None
    done = subprocess.run([NODE, "-"], input=script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# Paints sample 0 of `given.painter`; `changes` is a list of [step from 0, change].
PAINTED = """
const {painter, mode, changes} = given, sample = unpackSample(painter, painter.samples[0]);
const rate = changedRates(painter, sample.rate, new Map(changes));
const made = factors(painter, sample, mode === "rule" ? rate : sample.rate);
const canvas = blank(painter);
for (let t = 0; t < painter.steps; t++) addUpdate(canvas, painter, made, rate, t);
const pixels = new Uint8ClampedArray(4 * painter.height * painter.width);
toPixels(canvas, painter.channels, pixels, byteOf(painter));
return {canvas: [...canvas], pixels: [...pixels]};
"""


def pixels_of(painted: dict[str, Any], channels: int) -> Tensor:
    """Return the bytes [C H W] of a canvas painted by the page."""
    shown = torch.tensor(painted["pixels"]).reshape(HEIGHT, WIDTH, 4).movedim(-1, 0)
    if channels < 4:
        assert (shown[3] == 255).all()
    return shown[:channels]


@needs_node
@pytest.mark.parametrize("kind", KINDS)
def test_page_paints_what_python_exports(kind: str) -> None:
    drawn, z = sampler(**KINDS[kind]), latents()
    data = work(drawn, z, "", 0, "")
    for mode in ("terms", "rule"):
        painted = in_node(PAINTED, painter=data, mode=mode, changes=[])
        shown = pixels_of(painted, data["channels"])
        exported = drawn(z)[0].int()
        assert exported.float().std() > 20
        assert (shown - exported).abs().max() <= 1


@needs_node
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["terms", "rule"])
def test_changes(kind: str, mode: str) -> None:
    drawn, z = sampler(**KINDS[kind]), latents()
    painter = drawn.generator
    assert isinstance(painter, FastWeightPainter)
    channels = painter.channels
    data = work(drawn, z, "", 0, "")
    changes = [[0, {"muted": True, "rates": [0.5]}], [2, {"muted": False, "rates": [0.25]}],
               [T, {"muted": True, "rates": []}]]  # fmt: skip
    painted = in_node(PAINTED, painter=data, mode=mode, changes=changes)

    with torch.inference_mode():
        painting = painter.paint(z)
        instructions = painting.instructions
        was = instructions["rate"].clone()
        if kind == "delta, first rate one":
            was[:, :, 0] = 1
        rate = was.clone()
        rate[:, :, 0] = 0
        rate[:, 0, 2] *= 0.25 / rate[:, 0, 2].mean(dim=-1, keepdim=True)
        if mode == "rule":
            # A rate of the first step that was changed counts, whatever `first_rate` says.
            is_delta = isinstance(painter.learning_rule, DeltaRule)
            rule = DeltaRule() if is_delta else painter.learning_rule
            painting = rule({**instructions, "rate": rate}, painting.canvas)
        else:
            assert isinstance(painting, StrokePainting)
            painting = replace(painting, rows=painting.rows * rate / was)
        canvas = painting.image()
        exported = drawn.image_range.to_bytes(painter.activate(canvas))[0].int()
    assert (pixels_of(painted, channels) - exported).abs().max() <= 1
    assert (exported - drawn(z)[0].int()).abs().max() > 5


@needs_node
def test_update_is_shown_with_its_signs() -> None:
    shown = in_node(
        "const pixels = new Uint8ClampedArray(12);"
        "toPixels([-2, 0, 1], 1, pixels, signedByteOf([-2, 0, 1]));"
        "const none = new Uint8ClampedArray(4); toPixels([0], 1, none, signedByteOf([0]));"
        "return [[...pixels], [...none]];"
    )
    assert shown == [[0, 0, 0, 255, 128, 128, 128, 255, 191, 191, 191, 255], [128, 128, 128, 255]]


LIMITS = {"images": 5, "steps": 7, "lastStep": 8, "channels": 3}
READ = (
    "const {changes, ...state} = readLink(given.link, given.limits);"
    "return {...state, changes: [...changes]};"
)


@needs_node
def test_link_keeps_the_state() -> None:
    link = "image=3&step=5&mode=rule&mute=2,7&rate=2:0:0.5,4:2:-0.125"
    state = in_node(READ, link=link, limits=LIMITS)
    assert state == {
        "image": 3, "step": 5, "mode": "rule",
        "changes": [
            [1, {"muted": True, "rates": [0.5]}],
            [6, {"muted": True, "rates": []}],
            [3, {"muted": False, "rates": [None, None, -0.125]}],
        ],
    }  # fmt: skip
    written = in_node(
        "return writeLink(readLink(given.link, given.limits));", link=link, limits=LIMITS
    )
    assert written == link


@needs_node
@pytest.mark.parametrize(
    "link",
    ["", "image", "image=5&step=9", "image=-1&step=1e1&mode=rules", "%&&=%zz&step=%31%30",
     "mute=0,8,x,,1.5,999999999999&rate=1:3:0.5,1:0:9,1:2:-9,1:0:x,1,1:0,0:0:0.5,::,1:-1:0.5",
     "image=<script>&__proto__=1&step=NaN&rate=1:0:Infinity"],
)  # fmt: skip
def test_broken_links_are_passed_over(link: str) -> None:
    state = in_node(READ, link=link, limits=LIMITS)
    assert state == {"image": 0, "step": 8, "mode": "terms", "changes": []}


def test_packing() -> None:
    vectors = torch.randn(2, 3, 5) * torch.tensor([1e-6, 1.0, 1e4])[:, None]
    vectors[0, 0] = 0
    vectors[1, 2, 3] = 2 * vectors[1, 2].abs().max()
    read = unpacked(pack(vectors), 5).reshape(2, 3, 5)
    bound = vectors.abs().amax(dim=-1, keepdim=True) / 2**16 * 1.01
    assert ((read - vectors).abs() <= bound).all()
    assert (read[0, 0] == 0).all()
    assert len(base64.b64decode(pack(vectors))) == 2 * 3 * (4 + 2 * 5)


def test_page_stands_alone_and_is_well_formed() -> None:
    named = "<b>&amp;</script>$x"
    text = html([work(sampler(refined=True), latents(), named, 3, "ema")])
    page = Page(text)
    assert page.references == []
    assert not re.search(r"url\(|@import|https?:|\bfetch\(|XMLHttp|import\(", text)
    assert "default-src 'none'" in text
    assert page.unlabelled == []
    assert page.tags.count("figure") == page.tags.count("h1") == 1
    assert "b" not in page.tags
    assert named in page.text
    assert "Iteration 3" in page.text
    assert "A U-Net then refines" in page.text
    assert not re.search(r"{{|{%|{#", text)


def test_page_holds_all_samples_and_both_painters() -> None:
    first = work(sampler(), latents(), "first", 0, "")
    other = work(sampler(SumRule(), refined=True), latents(), "other", 0, "")
    text = html([first, other])
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert found
    assert json.loads(found[1]) == [first, other]
    assert Page(text).tags.count("figure") == 2
    assert [len(each["samples"]) for each in (first, other)] == [3, 3]
    assert "refined" not in first["samples"][0]
    assert base64.b64decode(other["samples"][2]["refined"])[1:4] == b"PNG"


def test_size_is_that_of_the_numbers() -> None:
    sample = work(sampler(), latents(), "", 0, "")["samples"][0]
    packed = sum(len(base64.b64decode(part)) for part in sample.values())
    assert packed == 3 * T * (2 * (WIDTH + HEIGHT + 1) + 3 * 4)
    # 24 images of 64 pixels in 64 steps, in base64, and the page itself
    assert 24 * 3 * 64 * (2 * 129 + 3 * 4) * 4 / 3 + len(html([])) < 2e6


class OtherRule(nn.Module):
    """A learning rule that the page has never heard of."""


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"rule": OtherRule()}, "cannot run OtherRule"), ({"activation": "softmax"}, "'softmax'"),
     ({"channels": 2}, "2 channels")],
)  # fmt: skip
def test_what_the_page_cannot_do_is_said(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        work(sampler(**settings), latents(), "", 0, "")
