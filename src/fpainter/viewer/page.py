"""Paintings as one HTML page that paints them again in the browser, from their instructions."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from torch import Tensor

from fpainter.files import replacing
from fpainter.generators.learning_rules import DeltaRule, LearningRule, OjaRule, SumRule
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.sampler import Sampler
from fpainter.pictures.grids import CHANNELS, to_picture
from fpainter.pictures.selection import Painted, batches, paint

BATCH_SIZE = 16
LARGEST = 2**15 - 1  # of the integers that stand for numbers
# What paint.js knows
ACTIVATIONS = ("identity", "relu", "sigmoid", "tanh")
RULES = {DeltaRule: "delta", SumRule: "sum", OjaRule: "oja"}


def work(
    sampler: Sampler,
    z: Tensor,
    name: str,
    iteration: int,
    weights: str,
    label: Tensor | None = None,
) -> dict[str, Any]:
    """Write down how a painter paints some latents.

    Args:
        sampler: of the painter.
        z: latents [B d_latent].
        name: the painter's name on the page.
        iteration: iterations trained.
        weights: ``ema``, ``raw`` or a horizon; ``fitted`` where there is no network.
        label: class indices [B], if there are labels.

    Returns:
        What viewer.html shows and paint.js needs to paint; plain data.

    Raises:
        ValueError: if the generator does not paint in steps, or if the page cannot follow its rule
            or activation, or show its images.
    """
    painter = sampler.generator
    if not isinstance(painter, FastWeightPainter):
        kind = type(painter).__name__
        raise ValueError(f"{kind} does not paint in steps, so there is nothing to see")
    rule = painter.learning_rule
    if type(rule) not in RULES:
        raise ValueError(f"the page cannot run {type(rule).__name__}")
    if painter.output_activation not in ACTIVATIONS:
        raise ValueError(
            f"the page knows the output activations {', '.join(ACTIVATIONS)}; "
            f"got {painter.output_activation!r}"
        )
    if painter.channels not in CHANNELS:
        raise ValueError(f"images of {painter.channels} channels cannot be shown")
    parts = [painter.sequence_processor, painter.input_generator, rule]
    parts += [painter.refiner] if painter.refines else []
    works = [paint(painter, sampler.image_range, *some) for some in batches(BATCH_SIZE, z, label)]
    canvas, rate = works[0].painting.canvas, works[0].painting.instructions["rate"]
    height, width = painter.image_size
    return {
        "name": name,
        "iteration": iteration,
        "weights": weights,
        "model": ", ".join(type(part).__name__.removesuffix("Processor") for part in parts),
        "rule": RULES[type(rule)],
        "keyActivation": getattr(rule, "corrected_key_activation", "identity"),  # Oja's
        "activation": painter.output_activation,
        "low": sampler.image_range.low,
        "high": sampler.image_range.high,
        "colours": list(CHANNELS[painter.channels]),
        "channels": painter.channels,
        "steps": painter.num_steps,
        "height": height,
        "width": width,
        "rateSize": rate.shape[-1],
        "refines": painter.refines,
        "canvas": None if canvas is None else pack(canvas[0]),
        "samples": [sample for each in works for sample in _samples(each, rule)],
    }


def _samples(work: Painted, rule: LearningRule) -> list[dict[str, str]]:
    """Pack instructions, with the rates as the rule applies them, and refined images."""
    applied = rule.applied(work.painting.instructions, work.painting.canvas)
    key, value, rate = (applied[name] for name in ("key", "value", "rate"))
    samples = [
        {"key": pack(k), "value": pack(v), "rate": pack(r)}
        for k, v, r in zip(key, value, rate, strict=True)
    ]
    if work.refined is not None:
        for sample, refined in zip(samples, work.show(work.refined), strict=True):
            sample["refined"] = _png(refined)
    return samples


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


def html(works: Sequence[dict[str, Any]]) -> str:
    """Fill the template ``viewer.html``.

    Args:
        works: of one painter, or of two to be shown side by side.
    """
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return templates.get_template("viewer.html").render(works=works)


def write_page(works: Sequence[dict[str, Any]], path: Path) -> None:
    """Write the page, whole or not at all.

    Args:
        works: as for `html`.
        path: the file; replaced if it is there.
    """
    with replacing(path) as new:
        new.write_text(html(works), encoding="utf-8")
