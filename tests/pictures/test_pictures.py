"""Grids, strips and curves: the right pixels in the right places."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.painting import shown_steps
from fpainter.generators.refiners import UNetRefiner
from fpainter.nn.image_range import ImageRange
from fpainter.pictures.curves import draw_curves, read_metrics
from fpainter.pictures.grids import LABEL_HEIGHT, grid, sheet, to_picture
from fpainter.pictures.selection import paint
from fpainter.pictures.strips import draw_strips
from tests.training.toys import D_LATENT, SIZE, STEPS, painter

SIGNED = ImageRange("signed")


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_grid_places_images_row_by_row(channels: int, mode: str) -> None:
    images = torch.randint(256, (5, channels, 4, 6), dtype=torch.uint8)
    sheet = grid(images, columns=3, gap=1)
    assert (sheet.mode, sheet.size) == (mode, (3 * 7 + 1, 2 * 5 + 1))
    fifth = sheet.crop((1 + 7, 1 + 5, 1 + 7 + 6, 1 + 5 + 4))
    assert fifth.tobytes() == to_picture(images[4]).tobytes()
    assert grid(images, columns=3, gap=1, scale=2).size == (2 * 22, 2 * 11)


def test_grid_of_fewer_images_than_columns() -> None:
    assert grid(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), columns=8, gap=0).size == (8, 4)


@pytest.mark.parametrize(
    ("num_steps", "columns", "expected"),
    [(4, 16, [1, 2, 3, 4]), (64, 4, [16, 32, 48, 64]), (7, 3, [2, 5, 7]), (1, 1, [1])],
)
def test_shown_steps(num_steps: int, columns: int, expected: list[int]) -> None:
    assert shown_steps(num_steps, columns) == expected


def frame(strip: Image.Image, row: int, column: int) -> np.ndarray:
    left, top = 1 + column * (SIZE + 1), 1 + row * (SIZE + 1)
    return np.moveaxis(np.asarray(strip.crop((left, top, left + SIZE, top + SIZE))), -1, 0)


def strips(artist: FastWeightPainter, z: Tensor, normalisation: str = "final") -> Image.Image:
    return draw_strips(paint(artist, SIGNED, z), range(1, STEPS + 1), normalisation)


def test_strip_shows_updates_above_canvases() -> None:
    artist, z = painter(), torch.randn(2, D_LATENT)
    strip = strips(artist, z)
    assert strip.size == (STEPS * (SIZE + 1) + 1, 2 * (2 * (SIZE + 1) + 1 + LABEL_HEIGHT))
    with torch.no_grad():
        painting, image = artist.paint(z), SIGNED.to_bytes(artist(z))
        updates = SIGNED.to_bytes(painting.updates().tanh())
    np.testing.assert_array_equal(frame(strip, 1, STEPS - 1), image[0])
    for step in range(STEPS):
        difference = frame(strip, 0, step).astype(int) - updates[0, step].numpy()
        assert np.abs(difference).max() <= 1  # sums of the same numbers in another order


class Faded(UNetRefiner):
    """Halves the canvas."""

    def forward(self, canvas: Tensor) -> Tensor:
        return 0.5 * canvas


def refining() -> FastWeightPainter:
    artist = painter()
    artist.refiner, artist.refines = Faded(SIZE, width=8), True
    return artist


def test_strip_ends_with_the_refined_image() -> None:
    artist, z = refining(), torch.randn(1, D_LATENT)
    for normalisation in ("final", "frame"):
        strip = strips(artist, z, normalisation)
        assert strip.width == (STEPS + 1) * (SIZE + 1) + 1
        with torch.no_grad():
            finished = artist.paint(z).image()
            change, refined = SIGNED.to_bytes(artist.activate(-finished / 2)), artist(z)
        np.testing.assert_array_equal(frame(strip, 0, STEPS), change[0])
        np.testing.assert_array_equal(frame(strip, 1, STEPS), SIGNED.to_bytes(refined)[0])


def test_frames_of_equal_norm() -> None:
    """The released code's normalisation shows every frame as strongly as the finished image."""
    artist, z = painter(), torch.randn(1, D_LATENT)
    artist.output_activation = "identity"
    strip = strips(artist, z, "frame")
    norms = [
        np.linalg.norm(frame(strip, row, column) / 127.5 - 1)
        for row in (0, 1)
        for column in range(STEPS)
    ]
    with torch.no_grad():
        np.testing.assert_allclose(norms, float(artist(z).norm()), rtol=0.1)
    with pytest.raises(ValueError, match="normalisation must be one of"):
        strips(artist, z, "none")


def test_fids_that_cannot_be_compared_with_the_newest_are_left_out(tmp_path: Path) -> None:
    """The first row is of a version that did not say how it scored."""
    metrics = tmp_path / "metrics.csv"
    small, large = '"png, 9 fakes, 32×32"', '"png, 9 fakes, 64×64"'
    metrics.write_text(
        "iteration,loss/generator,fid,fid_unrefined,scored_by\n1,1.0,90,95,\n"
        f"2,1.2,20,25,{small}\n3,1.3,60,65,{large}\n4,1.4,,,\n5,1.5,50,55,{large}\n"
    )
    series = read_metrics(metrics)
    assert series["fid"] == [(1, 90), (3, 60), (5, 50)]
    assert series["fid_unrefined"] == [(1, 95), (3, 65), (5, 55)]
    assert [iteration for iteration, _ in series["loss/generator"]] == [1, 2, 3, 4, 5]
    assert "scored_by" not in series


def test_curves(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.csv"
    metrics.write_text(
        "iteration,loss/discriminator,loss/generator,fid\n1,2.0,1.0,\n2,1.5,1.2,90.5\n"
    )
    assert read_metrics(metrics)["fid"] == [(2, 90.5)]
    assert read_metrics(metrics)["loss/generator"] == [(1, 1.0), (2, 1.2)]
    draw_curves(metrics, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > picture.height > 100
    metrics.write_text("iteration\n")
    draw_curves(metrics, tmp_path / "nothing.png")
    assert not (tmp_path / "nothing.png").exists()


def test_a_row_for_each_class() -> None:
    """Rows in the order of labels, a name at each, and white where a class has fewer images."""
    images = torch.arange(4, dtype=torch.uint8)[:, None, None, None].expand(4, 3, 20, 20)
    labels = torch.tensor([2, 0, 2, 2])
    picture = sheet([images, images + 100], None, 2, labels, ["first", "unused", "a long name"])
    alone = sheet([images[[1, 0, 2, 3]]], columns=3)
    rows = np.asarray(picture)[:, -2 * 136 :]
    assert picture.height == 2 * (2 * 20 + 3 * 2)
    middles = [2 * (2 + 10), 2 * (2 + 32)]
    across = [2 * (2 + 10 + 22 * column) for column in range(3)]
    assert [[int(rows[y, x, 0]) for x in across] for y in middles] == [[1, 255, 255], [0, 2, 3]]
    others = [[int(rows[y, 136 + x, 0]) for x in across] for y in middles]
    assert others == [[101, 255, 255], [100, 102, 103]]
    margin = np.asarray(picture)[:, : -2 * 136]
    assert all((part < 128).any() for part in np.split(margin, 2))
    assert alone.width == 68
