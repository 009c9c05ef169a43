"""The page about trained painters, written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fpainter.files import replacing
from fpainter.generators.latents import latents
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.sampler import Sampler
from fpainter.viewer.page import html, work


def trained_work(
    sampler: Sampler, name: str, iteration: int, weights: str, seed: int, num_images: int
) -> dict[str, Any]:
    """Paint a trained generator's first images for the page.

    Args:
        sampler: of the generator.
        name: the painter's name on the page.
        iteration: iterations trained.
        weights: ``ema`` or ``raw``.
        seed: of the latents.
        num_images: images 0, 1, ... that ``fpainter.generate`` makes of this seed.

    Raises:
        ValueError: if the generator does not paint in steps, or in some that the page cannot show.
    """
    painter = sampler.generator
    if not isinstance(painter, FastWeightPainter):
        kind = type(painter).__name__
        raise ValueError(f"{kind} does not paint in steps, so there is nothing to see")
    z = latents(seed, range(num_images), painter.d_latent)
    return work(sampler, z, name, iteration, weights)


def write_page(works: Sequence[dict[str, Any]], path: Path) -> None:
    """Write the page, whole or not at all.

    Args:
        works: one painter, or two to be shown side by side.
        path: the file; replaced if it is there.
    """
    with replacing(path) as new:
        new.write_text(html(works), encoding="utf-8")
