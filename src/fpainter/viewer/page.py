"""Paintings as one HTML page that paints them again in the browser, stroke by stroke."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from torch import Tensor

from fpainter.files import replacing
from fpainter.generators.learning_rules import LearningRule
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.painting import Painting
from fpainter.generators.sampler import Sampler
from fpainter.ops.precision import widen
from fpainter.pictures.grids import CHANNELS, to_picture
from fpainter.pictures.selection import Painted, batches, paint
from fpainter.viewer.patterns import made_of_patterns

BATCH_SIZE = 16
LARGEST = 2**15 - 1  # of the integers that stand for numbers
# What paint.js knows
ACTIVATIONS = ("identity", "relu", "sigmoid", "tanh")
OWN_STEPS = ("oja", "over", "veil")  # of rules, besides programs of strokes


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
    if painter.output_activation not in ACTIVATIONS:
        raise ValueError(
            f"the page knows the output activations {', '.join(ACTIVATIONS)}; "
            f"got {painter.output_activation!r}"
        )
    if painter.channels not in CHANNELS:
        raise ValueError(f"images of {painter.channels} channels cannot be shown")
    modules = [painter.sequence_processor, painter.input_generator, rule]
    modules += [painter.refiner] if painter.refines else []
    given = list(batches(BATCH_SIZE, z, label))
    works = [paint(painter, sampler.image_range, *some) for some in given]
    programs = [program(rule, each.painting) for each in works]
    canvas, (_, reads, per_step) = works[0].painting.canvas, programs[0]
    parts = _joined([each.parts for each in programs])
    ordered = _joined([each.painting.instructions for each in works])
    packed, made = made_of_patterns(painter, given, ordered, parts, per_step)
    height, width = painter.image_size
    return {
        "name": name,
        "iteration": iteration,
        "weights": weights,
        "model": ", ".join(type(each).__name__.removesuffix("Processor") for each in modules),
        "orders": [order.name.replace("_", " ") for order in rule.orders],
        "does": (type(rule).__doc__ or "").partition("\n")[0],
        "rule": vars(type(rule)).get("page", "strokes"),
        "keyActivation": getattr(rule, "corrected_key_activation", "identity"),  # Oja's
        "activation": painter.output_activation,
        "low": sampler.image_range.low,
        "high": sampler.image_range.high,
        "colours": list(CHANNELS[painter.channels]),
        "channels": painter.channels,
        "steps": painter.num_steps,
        "perStep": per_step,
        "height": height,
        "width": width,
        "sizes": {name: part.shape[-1] for name, part in packed.items()},
        "lines": {name: part.shape[2] for name, part in packed.items()},
        **made,
        "reads": reads,
        "highestRate": max([1.0, parts["rate"].max().item()] if "rate" in parts else [1.0]),
        "refines": painter.refines,
        "canvas": None if canvas is None else pack(canvas[0]),
        "samples": _samples(works, packed),
    }


class Program(NamedTuple):
    """What paint.js needs to follow a rule.

    Attributes:
        parts: by name [B C S *] of S strokes, or [B 1 S *] where channels share them. Of a program
            those of `fpainter.ops.strokes.Strokes`, else what was ordered.
        reads: the part at which a program reads the canvas; None if it does not.
        per_step: strokes of each painting step.
    """

    parts: dict[str, Tensor]
    reads: str | None = None
    per_step: int = 1


def program(rule: LearningRule, painting: Painting) -> Program:
    """Return what a rule has strokes do for a painting, or what it was ordered.

    What a rule makes of its orders alone is settled here: the gains of recursive least squares, for
    one, stay as they are when somebody mutes a stroke on the page.

    Raises:
        ValueError: if the page has no means to follow the rule.
    """
    kind, given = vars(type(rule)).get("page", "strokes"), painting.instructions
    with torch.inference_mode():
        orders = rule.applied({name: widen(x) for name, x in given.items()}, painting.canvas)
        if kind in OWN_STEPS:
            return Program(dict(orders))
        strokes = rule.strokes(**orders) if kind == "strokes" else None
    if strokes is None:
        raise ValueError(
            f"the page cannot run {type(rule).__name__}: it does not say what it does in `strokes`"
        )
    parts = strokes._asdict()
    del parts["per_step"]
    reads = None if strokes.read is None else "read"
    if strokes.read is strokes.write:
        reads, parts["read"] = "write", None
    found = {name: part for name, part in parts.items() if part is not None}
    return Program(found, reads, strokes.per_step)


def _joined(batches: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([each[name] for each in batches]) for name in batches[0]}


def _samples(works: Sequence[Painted], parts: Mapping[str, Tensor]) -> list[dict[str, str]]:
    """Pack what each image is painted with, and refined images."""
    samples = [
        {name: pack(part[index]) for name, part in parts.items()}
        for index in range(sum(len(work.painting) for work in works))
    ]
    refined = [
        image for work in works if work.refined is not None for image in work.show(work.refined)
    ]
    for sample, image in zip(samples, refined, strict=False):
        sample["refined"] = _png(image)
    return samples


def pack(vectors: Tensor) -> str:
    """Pack vectors as base64 of a float32 scale for each, then their entries as int16.

    Single numbers are float32.

    Of what takes two bytes a number this changes the fewest pixels of a finished image: on 24
    cats, 0.08 % by one grey level, where float16 changes 0.7 %; 12 bits would change 1.4 %.

    Args:
        vectors: [... N] floats.
    """
    vectors = vectors.detach().float().cpu()
    if vectors.shape[-1] == 1:
        return base64.b64encode(vectors.numpy().astype("<f4").tobytes()).decode()
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
