"""Render all images of a source in parallel."""

import os
import threading
import time
import warnings
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from fpainter.data.decode import render
from fpainter.data.sources import ImageSource

_CHUNK_BYTES = 32 << 20
_CHUNK_IMAGES = 512
_LARGE_PIXELS = 16_000_000
_PROGRESS_AFTER_SECONDS = 2.0


def render_all(
    source: ImageSource, size: tuple[int, int], channels: int, progress: bool
) -> Generator[np.ndarray | str, None, None]:
    """Render every image of a source in several threads (Pillow releases the GIL).

    Memory stays bounded however many images there are.

    Args:
        source: The pictures.
        size: (height, width).
        channels: 1, 3 or 4.
        progress: Show a line when it takes more than two seconds at a terminal.

    Yields:
        For each image in order its pixels, uint8 [C H W], or the reason why there are none.
    """
    alone = threading.Lock()

    def one(index: int) -> np.ndarray | str:
        try:
            with source.open(index) as image:
                # Pillow takes a gigabyte for a picture as large as it allows.
                large = image.width * image.height > _LARGE_PIXELS
                with alone if large else nullcontext():
                    return render(image, size, channels)
        except MemoryError:
            raise
        # Pillow's decoders raise nearly anything when a file is damaged.
        except Exception as error:
            return str(error) or type(error).__name__

    threads = min(8, os.cpu_count() or 1)
    chunk = max(threads, min(_CHUNK_IMAGES, _CHUNK_BYTES // (channels * size[0] * size[1])))
    # Warning filters belong to the whole process, so they are set here and not in the threads.
    # `render` refuses what Pillow would only warn about, and its other warnings are of metadata.
    with (
        warnings.catch_warnings(),
        ThreadPoolExecutor(threads) as pool,
        _ProgressLine(f"Caching {source.name}", len(source), progress) as line,
    ):
        warnings.filterwarnings("ignore", module=r"PIL\.")
        # By chunks, because `map` starts on all of its input at once.
        for start in range(0, len(source), chunk):
            stop = min(start + chunk, len(source))
            yield from pool.map(one, range(start, stop))
            line(stop)


class _ProgressLine:
    """A line on the terminal, for those builds that turn out to take a while."""

    def __init__(self, title: str, total: int, wanted: bool) -> None:
        console = Console(stderr=True)
        self._wanted = wanted and console.is_terminal
        self._progress = Progress(
            *Progress.get_default_columns()[:2],
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not self._wanted,
        )
        self._task = self._progress.add_task(title, total=total)
        self._shown_from = time.monotonic() + _PROGRESS_AFTER_SECONDS

    def __enter__(self) -> Callable[[int], None]:
        return self._update

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _update(self, done: int) -> None:
        self._progress.update(self._task, completed=done)
        if self._wanted and time.monotonic() > self._shown_from:
            self._progress.start()
