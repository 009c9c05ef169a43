"""Paintings as one HTML page that paints them again in the browser, from their instructions."""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import torch
from torch import Tensor, nn

from fpainter.generators.learning_rules import DeltaRule, OjaRule, SumRule
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.painting import Painting
from fpainter.generators.sampler import Sampler
from fpainter.pictures.grids import CHANNELS, to_picture
from fpainter.pictures.selection import paint

SCRIPTS = ("paint.js", "easel.js", "bars.js", "viewer.js")
BATCH_SIZE = 16
LARGEST = 2**15 - 1  # of the integers that stand for numbers
ACTIVATIONS = ("identity", "relu", "sigmoid", "tanh")  # those that paint.js knows
WHAT_RULES_DO = {
    "delta": "the delta rule moves what the canvas holds at the key towards the value",
    "sum": "the sum rule adds the value at the key, whatever the canvas already holds",
    "oja": "Oja's rule takes from the key what the canvas already shows of the value, "
    "and adds the value at what is left",
}


@dataclass(frozen=True)
class Work:
    """A painter and its samples, ready for the page.

    Attributes:
        name: heading of its label.
        facts: what was trained, a line or two.
        data: what paint.js needs to paint; plain data.
    """

    name: str
    facts: str
    data: dict[str, Any]


def work(sampler: Sampler, z: Tensor, name: str, facts: str) -> Work:
    """Write down how a painter paints some latents.

    Args:
        sampler: of a `FastWeightPainter`.
        z: latents [B d_latent].
        name: the painter's name on the page.
        facts: what it is, in a line or two.

    Raises:
        ValueError: if the page cannot follow the painter's rule or activation, or show its images.
    """
    painter = sampler.generator
    assert isinstance(painter, FastWeightPainter)
    rule, key_activation = _rule(painter.learning_rule)
    if painter.output_activation not in ACTIVATIONS:
        raise ValueError(
            f"the page knows the output activations {', '.join(ACTIVATIONS)}; "
            f"got {painter.output_activation!r}"
        )
    if painter.channels not in CHANNELS:
        raise ValueError(f"images of {painter.channels} channels cannot be shown")
    samples = []
    for some in z.split(BATCH_SIZE):
        done = paint(painter, sampler.image_range, some)
        painting = done.painting
        new = _instructions(painter, painting)
        if done.refined is not None:
            for sample, refined in zip(new, done.show(done.refined), strict=True):
                sample["refined"] = _png(refined)
        samples += new
    height, width = painter.image_size
    data = {
        "rule": rule,
        "keyActivation": key_activation,
        "activation": painter.output_activation,
        "low": sampler.image_range.low,
        "high": sampler.image_range.high,
        "colours": list(CHANNELS[painter.channels]),
        "channels": painter.channels,
        "steps": painter.num_steps,
        "height": height,
        "width": width,
        "rateSize": painting.instructions.rate.shape[-1],
        "refines": painter.refines,
        "canvas": None if painting.canvas is None else pack(painting.canvas[0]),
        "samples": samples,
    }
    return Work(name, facts, data)


def facts(painter: FastWeightPainter, iteration: int, weights: str) -> str:
    """Say what was trained and for how long.

    Args:
        painter: the painter.
        iteration: iterations trained.
        weights: ``ema`` or ``raw``.
    """
    parts = [painter.sequence_processor, painter.input_generator, painter.learning_rule]
    parts += [painter.refiner] if painter.refines else []
    model = ", ".join(type(part).__name__.removesuffix("Processor") for part in parts)
    height, width = painter.image_size
    return (
        f"Iteration {iteration:,} ({weights} weights). {model}. "
        f"T={painter.num_steps}, {width}×{height} pixels."
    )


def _rule(rule: nn.Module) -> tuple[str, str]:
    """Return the name of a learning rule and the activation of its corrected keys."""
    match rule:
        case DeltaRule():
            return "delta", "identity"
        case SumRule():
            return "sum", "identity"
        case OjaRule():
            return "oja", rule.corrected_key_activation
    raise ValueError(f"the page cannot run {type(rule).__name__}")


def _instructions(painter: FastWeightPainter, painting: Painting) -> list[dict[str, str]]:
    """Pack each image's keys, values and the rates with which its rule applies them."""
    key, value, rate = painting.instructions
    rule = painter.learning_rule
    if isinstance(rule, DeltaRule):
        rate = rule.applied_rate(painting.instructions, painting.canvas)
    return [
        {"key": pack(k), "value": pack(v), "rate": pack(r)}
        for k, v, r in zip(key, value, rate, strict=True)
    ]


def pack(vectors: Tensor) -> str:
    """Pack vectors as base64 of a float32 scale for each, then their entries as int16.

    Of what takes two bytes a number this changes the fewest pixels of a finished image: on 24
    cats, 0.08 % by one grey level, where float16 changes 0.7 %; 12 bits would change 1.4 %.

    Args:
        vectors: [... N] floats.
    """
    vectors = vectors.detach().float().cpu()
    scale = vectors.abs().amax(dim=-1, keepdim=True) / LARGEST
    whole = (vectors / scale.clamp_min(torch.finfo(torch.float32).tiny)).round().short()
    written = scale.numpy().astype("<f4").tobytes() + whole.numpy().astype("<i2").tobytes()
    return base64.b64encode(written).decode()


def _png(image: Tensor) -> str:
    file = io.BytesIO()
    to_picture(image).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def html(works: Sequence[Work]) -> str:
    """Fill the template ``viewer.html``.

    Args:
        works: one painter, or two to be shown side by side.
    """
    data = json.dumps([work.data for work in works], separators=(",", ":"))
    return Template(_read("viewer.html")).substitute(
        title=escape(" and ".join(work.name for work in works)),
        style=_read("viewer.css"),
        works="\n".join(_figure(work) for work in works),
        kind="pair" if len(works) > 1 else "single",
        data=data.replace("<", "\\u003c"),
        scripts="\n".join(f"<script>\n{_read(name)}</script>" for name in SCRIPTS),
    )


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _figure(work: Work) -> str:
    """Write the figure of a painter: key, value, canvas, update and label."""
    rule, steps = work.data["rule"], work.data["steps"]
    refined = " A U-Net then refines the finished canvas." if work.data["refines"] else ""
    return f"""<figure class="work">
<div class="easel">
<canvas class="key" role="img" aria-label="Key of the step"></canvas>
<canvas class="value" role="img" aria-label="Value of the step"></canvas>
<canvas class="picture" role="img"></canvas>
</div>
<div class="update">
<canvas role="img"></canvas>
<p></p>
</div>
<figcaption>
<h2>{escape(work.name)}</h2>
<p>{escape(work.facts)}</p>
<p>The picture is a matrix per colour channel: at each of {steps} steps a network names a key
(which columns, above), a value (what to put there, at the left) and a rate (how much of it), and
{WHAT_RULES_DO[rule]}.{refined}</p>
</figcaption>
</figure>"""
