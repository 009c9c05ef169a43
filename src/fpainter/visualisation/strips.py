"""Painting strips: what each step adds, above the canvas as it stands after the step."""

from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from fpainter.generators.base import PaintingGenerator
from fpainter.generators.painting import shown_steps
from fpainter.generators.sampler import evaluating
from fpainter.nn.image_range import ImageRange
from fpainter.visualisation.grids import grid, stack

NORMALISATIONS = ("final", "frame")
LABEL_HEIGHT = 14  # pixels below each strip


def painting_strips(
    painter: PaintingGenerator,
    image_range: ImageRange,
    z: Tensor,
    num_columns: int = 16,
    normalisation: str = "final",
    scale: int = 1,
) -> Image.Image:
    """Draw one strip per latent: updates above canvases, step numbers below.

    With fewer columns than steps, the shown steps are spread evenly and end with the last; an
    update is then the sum of all updates since the column before. A refined image stands in a
    column of its own at the end, what the refiner changed above it.

    Args:
        painter: a generator that can show its steps.
        image_range: the range its images are in.
        z: latents [B d_latent].
        num_columns: columns at most.
        normalisation: ``final``: all frames on the scale of the finished image, as in the paper's
            Figure 5; ``frame``: each frame scaled to the finished image's norm, as the released
            code draws them, so that faint updates show.
        scale: enlargement by whole pixels.

    Returns:
        A picture, one strip below the other.

    Raises:
        ValueError: if `normalisation` is unknown.
    """
    check_normalisation(normalisation)
    with evaluating(painter):
        z = z.to(next(painter.parameters()))
        painting = painter.paint(z)
        steps = shown_steps(painting.num_steps, num_columns)
        canvases = painting.canvases([0, *steps])  # [B 1+S C H W]
        updates, canvases = canvases.diff(dim=1), canvases[:, 1:]
        if normalisation == "frame":
            norm = canvases[:, -1:].flatten(2).norm(dim=2)
            updates, canvases = (_to_norm(frames, norm) for frames in (updates, canvases))
        labels = [str(step) for step in steps]
        if painter.refines:
            finished = painting.image().to(z.dtype)
            refined = painter.refine(finished)
            updates = torch.cat([updates, (refined - finished)[:, None]], dim=1)
            canvases = torch.cat([canvases, refined[:, None]], dim=1)
            labels.append("refined")
        frames = image_range.to_bytes(painter.activate(torch.cat([updates, canvases], dim=1)))
    return stack(
        [_labelled(grid(f, columns=len(labels), gap=1, scale=scale), labels) for f in frames]
    )


def check_normalisation(name: str) -> None:
    """Raise ValueError unless `name` is a normalisation of strips."""
    if name not in NORMALISATIONS:
        raise ValueError(f"normalisation must be one of {NORMALISATIONS}; got {name!r}")


def _to_norm(frames: Tensor, norm: Tensor) -> Tensor:
    """Scale each of the frames [B S C H W] to the norm given for its image [B 1]."""
    own = frames.flatten(2).norm(dim=2).clamp_min(torch.finfo(frames.dtype).tiny)
    return frames * (norm / own)[..., None, None, None]


def _labelled(strip: Image.Image, labels: Sequence[str]) -> Image.Image:
    """Write the labels below a strip's columns, leaving out those that would touch."""
    bands = len(strip.getbands())
    paper, ink = ((255,) * bands, (*(90,) * min(bands, 3), *(255,) * (bands - 3)))
    sheet = Image.new(strip.mode, (strip.width, strip.height + LABEL_HEIGHT), paper)
    sheet.paste(strip)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=10)
    column, free_from = strip.width / len(labels), 0.0
    for index, label in enumerate(labels):
        width = draw.textlength(label, font=font)
        # A long label of the last column may reach to the left, not out of the picture.
        left = min((index + 0.5) * column - width / 2, strip.width - width)
        if left >= free_from:
            draw.text((left, strip.height), label, fill=ink, font=font)
            free_from = left + draw.textlength(label + " ", font=font)
    return sheet
