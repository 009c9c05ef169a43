"""Samples beside their nearest training images, and how near they are."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from fpainter.evaluation.copies import CLOSE, Copies
from fpainter.evaluation.features import Images
from fpainter.pictures.curves import blank
from fpainter.pictures.grids import grid, labelled, stack

WIDTH = 96  # pixels at least that an image is wide, so that its label fits
COLOURS = {"held-back reals": "0.55", "samples": "#c0392b"}
NUM_BINS = 40


def draw_nearest(
    samples: Tensor,
    numbers: Sequence[int],
    copies: Copies,
    images: Images,
    num_rows: int,
    scale: int | None = None,
) -> Image.Image:
    """Draw samples beside their nearest training images, those nearest to one at the top.

    Below a training image stands its distance; where its mirror image is nearer, that is shown.

    Args:
        samples: uint8 [M C H W].
        numbers: of the samples, M.
        copies: what was found of them.
        images: the training images.
        num_rows: samples shown, if there are as many.
        scale: enlargement by whole pixels; None: to at least `WIDTH` pixels.
    """
    scale = scale or math.ceil(WIDTH / samples.shape[-1])
    rows = []
    for place in copies.order[:num_rows]:
        distances, found, mirrored = (part[place].tolist() for part in copies.painted)
        near = images.batch(found)
        shown = torch.where(torch.tensor(mirrored)[:, None, None, None], near.flip(-1), near)
        row = grid(torch.cat([samples[place, None], shown]), 1 + len(shown), 1, scale)
        labels = [f"{d:.2f}{' mirrored' * m}" for d, m in zip(distances, mirrored, strict=True)]
        rows.append(labelled(row, [f"sample {numbers[place]}", *labels]))
    return stack(rows)


def write_nearest(
    numbers: Sequence[int], copies: Copies, titles: Sequence[str], path: Path
) -> None:
    """Write a row for each sample as CSV, in the order of `draw_nearest`.

    Args:
        numbers: of the samples, M.
        copies: what was found of them.
        titles: of the training images, by number.
        path: the file.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["sample", "distance", "percentile", "number", "image", "mirrored"])
        for place in copies.order:
            distance, number, mirrored = (part[place, 0].item() for part in copies.painted)
            percentile = copies.percentile[place].item()
            image = titles[int(number)]
            writer.writerow([numbers[place], distance, percentile, number, image, bool(mirrored)])


def write_distances(copies: Copies, path: Path) -> None:
    """Write the distances of samples and of held-back reals to their nearest image as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["of", "distance"])
        for name, distances in _distances(copies).items():
            writer.writerows([name, distance] for distance in distances.tolist())


def draw_distances(copies: Copies, path: Path) -> None:
    """Draw how the distances of samples and of held-back reals are distributed, as PNG."""
    distances = _distances(copies)
    top = float(torch.cat(list(distances.values())).max()) or 1.0
    bins = [top * edge / NUM_BINS for edge in range(NUM_BINS + 1)]
    of_all = {
        "xlabel": "distance to the nearest training image",
        "ylabel": "share",
        "xlim": (0, top),
    }
    figure, (axes,) = blank(1, 1, (6.4, 3.6), **of_all)
    for name, values in distances.items():
        axes.hist(
            values.numpy(), bins, weights=[1 / len(values)] * len(values), color=COLOURS[name],
            alpha=0.5, label=f"{len(values):,} {name}",
        )  # fmt: skip
    for percentile in CLOSE:
        place = float(copies.held_back.quantile(percentile / 100))
        axes.axvline(place, color="0.3", linewidth=0.8, linestyle="--")
        axes.annotate(
            f"{percentile} %", (place, 1), xycoords=("data", "axes fraction"), fontsize=8,
            xytext=(2, -9), textcoords="offset points", color="0.3",
        )  # fmt: skip
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)


def _distances(copies: Copies) -> dict[str, Tensor]:
    painted = copies.painted.distance[:, 0].sort().values
    return {"held-back reals": copies.held_back, "samples": painted}
