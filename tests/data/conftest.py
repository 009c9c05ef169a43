"""A small cache shared by the tests of this folder."""

import numpy as np
import pytest
from PIL import Image

from fpainter.data.cache import CachedImages, cache_images


class Ramp:
    """Image i has i in its left half and i + 100 in its right half."""

    name = "ramp"

    def __len__(self) -> int:
        return 10

    def fingerprint(self) -> str:
        return "0" * 64

    def label(self, index: int) -> str:
        return str(index)

    def open(self, index: int) -> Image.Image:
        pixels = np.full((2, 2), index, np.uint8)
        pixels[:, 1] += 100
        return Image.fromarray(pixels)


@pytest.fixture(scope="session")
def ten(tmp_path_factory: pytest.TempPathFactory) -> CachedImages:
    """Ten images [1 2 2]: image i has i on the left and i + 100 on the right."""
    return cache_images(Ramp(), (2, 2), 1, tmp_path_factory.mktemp("ten"), progress=False)
