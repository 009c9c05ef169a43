"""Shape, size, colours and transparency of a folder of pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fpainter.data.looks import looks_of
from fpainter.data.sources import ImageFolder
from fpainter.errors import UserError


def test_what_a_folder_looks_like(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
    grey = Image.fromarray(noise)
    grey.save(tmp_path / "a.png")
    grey.convert("RGB").save(tmp_path / "b.jpg")  # grey, whatever its mode
    Image.new("RGB", (60, 40), (200, 30, 30)).save(tmp_path / "c.png")
    clear = Image.new("RGBA", (60, 40), (255, 255, 255, 255))
    clear.paste((255, 0, 0, 0), (0, 0, 30, 40))  # a colour that nobody sees
    clear.save(tmp_path / "d.png")
    (tmp_path / "e.png").write_bytes(b"broken")
    found = looks_of(ImageFolder(tmp_path))
    assert (found.num_images, found.decoded, found.side) == (5, 4, 40)
    assert found.ratio.ratio == pytest.approx(2 / 3)
    assert (found.grey, found.transparent) == (0.75, 0.25)


def test_nothing_to_see(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"broken")
    with pytest.raises(UserError, match="none of the images"):
        looks_of(ImageFolder(tmp_path))
