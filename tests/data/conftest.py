"""A small cache and streams of the same images, shared by the tests of this folder."""

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fpainter.data.cache import CachedImages, cache_images
from fpainter.data.loader import BatchShare
from fpainter.data.streaming.stream import ShardStream


def encoded(number: int) -> bytes:
    """Return a PNG with the number in its left half and 100 more in its right half."""
    pixels = np.full((2, 2), number, np.uint8)
    pixels[:, 1] += 100
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class Ramp:
    """Image i has i in its left half and i + 100 in its right half."""

    name = "ramp"

    def __len__(self) -> int:
        return 10

    def fingerprint(self) -> str:
        return "0" * 64

    def title(self, index: int) -> str:
        return str(index)

    def open(self, index: int) -> Image.Image:
        pixels = np.full((2, 2), index, np.uint8)
        pixels[:, 1] += 100
        return Image.fromarray(pixels)


@pytest.fixture(scope="session")
def ten(tmp_path_factory: pytest.TempPathFactory) -> CachedImages:
    """Ten images [1 2 2]: image i has i on the left and i + 100 on the right."""
    return cache_images(Ramp(), (2, 2), 1, tmp_path_factory.mktemp("ten"))


def trainer(rank: int = 0, world_size: int = 1, device: str = "cpu") -> Any:
    """Return what data modules ask of a trainer."""
    strategy = SimpleNamespace(root_device=torch.device(device))
    return SimpleNamespace(global_rank=rank, world_size=world_size, strategy=strategy)


Open = Callable[..., ShardStream]


@pytest.fixture
def opened(ten: CachedImages) -> Open:
    """Open streams of images of the size of `ten`."""

    def build(shards: Any, batch_size: int = 3, **options: Any) -> ShardStream:
        buffer_size = options.pop("buffer_size", 4)
        share = BatchShare(batch_size, **{"seed": 0, **options})
        return ShardStream(shards, ten, share, buffer_size)

    return build
