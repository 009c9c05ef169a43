"""The viewer's page: well-formed, alone, and with all that it takes to paint."""

import base64
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
import torch
from torch import Tensor

from fpainter.generators.learning_rules import (
    DeltaRule,
    LearningRule,
    OjaRule,
    Strokes,
    SumRule,
    outer,
)
from fpainter.generators.learning_rules.coupled import CoupledRule
from fpainter.generators.learning_rules.over import OverRule
from fpainter.generators.learning_rules.smudge import SmudgeRule
from fpainter.viewer.page import html, pack, work
from tests.viewer.painters import HEIGHT, WIDTH, T, latents, sampler, unpacked


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


def test_packing() -> None:
    vectors = torch.randn(2, 3, 5) * torch.tensor([1e-6, 1.0, 1e4])[:, None]
    vectors[0, 0] = 0
    vectors[1, 2, 3] = 2 * vectors[1, 2].abs().max()
    read = unpacked(pack(vectors), 5).reshape(2, 3, 5)
    bound = vectors.abs().amax(dim=-1, keepdim=True) / 2**16 * 1.01
    assert ((read - vectors).abs() <= bound).all()
    assert (read[0, 0] == 0).all()
    assert len(base64.b64decode(pack(vectors))) == 2 * 3 * (4 + 2 * 5)
    assert (unpacked(pack(vectors[..., :1]), 1) == vectors[..., :1].flatten(0, 1)).all()


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
    assert packed == 3 * T * (2 * (WIDTH + HEIGHT) + 3 * 4)
    # 24 images of 64 pixels in 64 steps, in base64, and the page itself
    assert 24 * 3 * 64 * (2 * 128 + 3 * 4) * 4 / 3 + len(html([])) < 2e6


def test_nothing_is_stored_twice() -> None:
    for rule, reads, shared in [
        (DeltaRule(), "write", []),
        (SumRule(), None, []),
        (SmudgeRule(), "read", []),
        (CoupledRule(), "write", ["key order", "value order", "rate"]),
        (OverRule(), None, ["columns order", "rows order"]),
    ]:
        data = work(sampler(rule), latents(), "", 0, "")
        assert data["reads"] == reads
        sample, sizes = data["samples"][0], data["sizes"]
        assert ("read" in sample) == (reads == "read")
        lengths = {name: len(unpacked(text, sizes[name])) for name, text in sample.items()}
        assert lengths == {name: T if name in shared else 3 * T for name in sizes}


class SquaredRule(SumRule):
    """What it writes is more than a product of two orders."""

    def strokes(self, key: Tensor, value: Tensor, rate: Tensor) -> Strokes:
        """Square the square of values."""
        return Strokes(value**4, write=key, read=None, rate=rate)


def test_what_can_be_seen_at_one_size_only_is_said() -> None:
    for rule, learned, said in [
        (OjaRule(), False, "OjaRule is written for vectors of one size"),
        (SquaredRule(), False, "its rule makes the value of a stroke of more than products"),
        (DeltaRule(), True, "it begins with a learned canvas, which has pixels"),
        (DeltaRule(), False, None),
    ]:
        data = work(sampler(rule, learned=learned), latents(), "", 0, "")
        assert data["oneSize"] == said
        assert bool(data["patterns"]) == (said is None)


class OtherRule(LearningRule):
    """A learning rule that only says what a step does."""

    def step(self, canvas: Tensor, key: Tensor, value: Tensor, rate: Tensor) -> Tensor:
        """Add the outer product of value and key."""
        return canvas + outer(rate * value, key)


class OtherOver(OverRule):
    """Nobody told paint.js what is different here."""


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"rule": OtherRule()}, "cannot run OtherRule"), ({"rule": OtherOver()}, "run OtherOver"),
     ({"activation": "softmax"}, "'softmax'"), ({"channels": 2}, "2 channels")],
)  # fmt: skip
def test_what_the_page_cannot_do_is_said(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        work(sampler(**settings), latents(), "", 0, "")


def test_a_subclass_that_is_a_program_is_run() -> None:
    class Mine(DeltaRule):
        """Mine."""

    assert work(sampler(Mine()), latents(), "", 0, "")["rule"] == "strokes"
