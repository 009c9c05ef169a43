"""The most common shape of the pictures, and the size of images that fits it."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fpainter.data.finding import image_source
from fpainter.data.ratios import common_ratio, size_for
from fpainter.errors import UserError
from fpainter.nn.sizes import first_map


def write(path: Path, *shapes: tuple[int, int], orientation: int = 1) -> None:
    path.mkdir(exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for width, height in shapes:
        buffer = io.BytesIO()
        Image.new("L", (width, height)).save(buffer, "PNG", exif=exif)
        (path / f"{len([*path.iterdir()])}.png").write_bytes(buffer.getvalue())


def test_the_most_common_ratio_wins(tmp_path: Path) -> None:
    write(tmp_path / "x", (30, 40), (30, 41), (60, 80), (50, 50), (51, 50), (10, 90))
    (tmp_path / "x" / "damaged.png").write_bytes(b"no image")
    found = common_ratio(image_source(tmp_path / "x"))
    assert found == (40 / 30, 0.5, 6)


def test_pictures_that_lie_on_their_side_count_as_they_are_shown(tmp_path: Path) -> None:
    write(tmp_path / "x", (30, 60), orientation=6)
    assert common_ratio(image_source(tmp_path / "x")).ratio == 0.5


def test_of_equally_common_ratios_the_one_nearest_to_a_square(tmp_path: Path) -> None:
    write(tmp_path / "x", (10, 30), (12, 10), (40, 10))
    assert common_ratio(image_source(tmp_path / "x")).ratio == 10 / 12


def test_no_picture_can_be_opened(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(UserError, match="image_size=auto: none of the images"):
        common_ratio(image_source(tmp_path))


def test_known_sizes() -> None:
    assert size_for(1.0, 64 * 64) == (64, 64)
    assert size_for(218 / 178, 64 * 64) == (72, 56)  # CelebA
    assert size_for(3 / 4, 64 * 64) == (56, 72)
    assert size_for(9 / 16, 128 * 128) == (96, 176)


@pytest.mark.parametrize("side", [32, 64, 128, 256])
def test_sizes_come_near_and_halve(side: int) -> None:
    for ratio in np.geomspace(0.4, 2.5, 23).tolist():
        height, width = size_for(ratio, side * side)
        assert height % 8 == width % 8 == 0
        first_map((height, width))
        assert abs(math.log(height / width / ratio)) < 0.35
        assert 0.6 < height * width / side**2 < 1.7
