"""Render pictures whatever is wrong with them, and all those of a source in parallel."""

import os
import threading
import warnings
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
from PIL import Image

from fpainter.data.decode import render
from fpainter.data.sources import ImageSource
from fpainter.progress import reporting

_CHUNK_BYTES = 32 << 20
_CHUNK_IMAGES = 512
_LARGE_PIXELS = 16_000_000

# Pillow takes a gigabyte for a picture as large as it allows: one such picture at a time.
_alone = threading.Lock()


def pixels_or_reason(
    open_picture: Callable[[], Image.Image],
    size: tuple[int, int],
    channels: int,
    crop: str = "centre",
) -> np.ndarray | str:
    """Return a picture's pixels, uint8 [C H W], or the reason why there are none.

    Args:
        open_picture: opens it, and may raise anything.
        size: (height, width).
        channels: 1, 3 or 4.
        crop: as in `render`.
    """
    try:
        with open_picture() as image:
            large = image.width * image.height > _LARGE_PIXELS
            with _alone if large else nullcontext():
                return render(image, size, channels, crop)
    except MemoryError:
        raise
    # Pillow's decoders raise nearly anything when a file is damaged.
    except Exception as error:
        return str(error) or type(error).__name__


def render_all(
    source: ImageSource,
    size: tuple[int, int],
    channels: int,
    crop: str = "centre",
    doing: str = "Caching",
) -> Generator[np.ndarray | str, None, None]:
    """Render every image of a source in several threads (Pillow releases the GIL).

    Memory stays bounded however many images there are.

    Args:
        source: the pictures.
        size: (height, width).
        channels: 1, 3 or 4.
        crop: as in `render`.
        doing: what is done with them, for the progress.

    Yields:
        for each image in order its pixels, uint8 [C H W], or the reason why there are none.
    """

    def one(index: int) -> np.ndarray | str:
        return pixels_or_reason(lambda: source.open(index), size, channels, crop)

    total = len(source)
    threads = min(8, os.cpu_count() or 1)
    chunk = max(threads, min(_CHUNK_IMAGES, _CHUNK_BYTES // (channels * size[0] * size[1])))
    # Warning filters belong to the whole process, so they are set here and not in the threads.
    # `render` refuses what Pillow would only warn about, and its other warnings are of metadata.
    with (
        warnings.catch_warnings(),
        ThreadPoolExecutor(threads) as pool,
        reporting() as report,
    ):
        warnings.filterwarnings("ignore", module=r"PIL\.")
        # By chunks, because `map` starts on all of its input at once.
        for start in range(0, total, chunk):
            indices = range(start, min(start + chunk, total))
            for index, result in zip(indices, pool.map(one, indices), strict=True):
                yield result
                report(f"{doing} {source.name}", index + 1, total)
