"""What is shown of nearest training images is what was found."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fpainter.evaluation.copies import Copies
from fpainter.evaluation.metrics.nearest import Nearest
from fpainter.pictures.grids import LABEL_HEIGHT
from fpainter.pictures.nearest import draw_distances, draw_nearest, write_distances, write_nearest
from tests.evaluation.toys import ToyImages, random_images

SAMPLES = random_images(3, seed=4)
NUMBERS = (7, 3, 12)
COPIES = Copies(
    Nearest(
        torch.tensor([[2.0, 2.5], [0.5, 3.0], [4.0, 4.0]]).double(),
        torch.tensor([[9, 0], [1, 2], [5, 6]]),
        torch.tensor([[True, False], [False, True], [False, False]]),
    ),
    torch.tensor([1.0, 1.5, 2.5, 3.0]).double(),
)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_rows_hold_the_sample_and_what_is_near_it(channels: int) -> None:
    images = ToyImages(10)
    images.tensor = random_images(10, 0, channels)
    samples = random_images(3, 4, channels)
    picture = draw_nearest(samples, NUMBERS, COPIES, images, num_rows=2, scale=1)
    side, height = 8, 8 + 2 + LABEL_HEIGHT
    assert picture.size == (3 * (side + 1) + 1, 2 * height)
    expected = [
        [samples[1], images.tensor[1], images.tensor[2].flip(-1)],
        [samples[0], images.tensor[9].flip(-1), images.tensor[0]],
    ]
    for row, cells in enumerate(expected):
        for column, cell in enumerate(cells):
            left, top = 1 + column * (side + 1), 1 + row * height
            found = np.asarray(picture.crop((left, top, left + side, top + side)))
            found = found.reshape(side, side, channels)
            np.testing.assert_array_equal(found, np.moveaxis(cell.numpy(), 0, -1))


def test_small_images_are_enlarged() -> None:
    picture = draw_nearest(SAMPLES, NUMBERS, COPIES, ToyImages(10), num_rows=9)
    assert picture.size == (12 * (3 * 9 + 1), 3 * (12 * 10 + LABEL_HEIGHT))


def test_tables(tmp_path: Path) -> None:
    labels = [f"cats/{i}.png" for i in range(10)]
    write_nearest(NUMBERS, COPIES, labels, tmp_path / "nearest.csv")
    with (tmp_path / "nearest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [list(row.values()) for row in rows] == [
        ["3", "0.5", "0.0", "1", "cats/1.png", "False"],
        ["7", "2.0", "50.0", "9", "cats/9.png", "True"],
        ["12", "4.0", "100.0", "5", "cats/5.png", "False"],
    ]
    assert list(rows[0]) == ["sample", "distance", "percentile", "number", "image", "mirrored"]
    write_distances(COPIES, tmp_path / "distances.csv")
    with (tmp_path / "distances.csv").open(newline="") as file:
        distances = [(row["of"], float(row["distance"])) for row in csv.DictReader(file)]
    reals = [("held-back reals", distance) for distance in (1.0, 1.5, 2.5, 3.0)]
    assert distances == [*reals, *(("samples", distance) for distance in (0.5, 2.0, 4.0))]


@pytest.mark.parametrize("factor", [1, 0])  # 0: all are copies, and the reals duplicates
def test_figure(factor: int, tmp_path: Path) -> None:
    painted = COPIES.painted._replace(distance=COPIES.painted.distance * factor)
    draw_distances(Copies(painted, COPIES.held_back * factor), tmp_path / "distances.png")
    with Image.open(tmp_path / "distances.png") as picture:
        assert picture.width > 500
        colours = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    assert (colours[:, 0] - colours[:, 1] > 60).any()  # the samples' red
