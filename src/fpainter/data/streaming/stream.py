"""An endless, exactly resumable stream of training batches, read from shards."""

import logging
import os
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
import torch

from fpainter.data.cache import CachedImages
from fpainter.data.decode import crop_at
from fpainter.data.loader import Batch, BatchShare, BatchStream
from fpainter.data.render_all import pixels_or_reason
from fpainter.data.sources import open_image
from fpainter.data.streaming.shards import Sample, Shards
from fpainter.data.streaming.shuffling import ShuffledSamples
from fpainter.errors import UserError

log = logging.getLogger(__name__)

# The pixels of an image, uint8 [C H W], and its label.
Decoded = tuple[np.ndarray, int | None]
# Batches that are made while the one before is trained on.
_AHEAD = 2
# So many damaged images one after the other are no accident.
_MOST_DAMAGED = 1000
_WARNINGS = 5


class ShardStream(BatchStream):
    """Batches of the images of shards in random order, pass after pass, without an end.

    The order is that of `ShuffledSamples`. Images are decoded in threads, ahead of training. One
    that cannot be decoded is left out; the next good one of this process takes its place, and has
    its own as well.

    A stream that goes on from a saved position continues bit for bit. To get there it reads again,
    without decoding, what was served of the last pass, and before that, once, those shards that
    the first process has never read to their end.

    Args:
        shards: where the images come from.
        images: any images of the size and the channels that the batches shall have.
        share: this process's share of every batch.
        buffer_size: encoded images held to shuffle them, positive.
        crop: how an image gets its size, as in `render`.
    """

    def __init__(
        self,
        shards: Shards,
        images: CachedImages,
        share: BatchShare,
        buffer_size: int,
        crop: str = "centre",
    ) -> None:
        super().__init__(images, share)
        self.crop = crop
        self._samples = ShuffledSamples(shards, share, buffer_size)
        self._num_shards = len(shards.titles)
        self._damaged: set[str] = set()
        self._batches: Iterator[Batch] | None = None
        self._ahead: deque[Future[Batch]] = deque()
        # One thread: batches are made one after the other. Neither executor is ever shut down: a
        # finaliser that waits for threads can wait for ever. The threads end with the stream.
        self._maker = ThreadPoolExecutor(1)
        self._decoders = ThreadPoolExecutor(min(8, os.cpu_count() or 1))

    def state_dict(self) -> dict[str, Any]:
        """Return the position, the number of processes, and how many samples shards have."""
        return super().state_dict() | {
            "world_size": self.share.world_size,
            "num_shards": self._num_shards,
            "num_samples": dict(self._samples.num_samples),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a saved position, which the next batch is then read from.

        With another number of images in a batch, of processes or of shards than it was saved
        with, the stream goes on near that position, with a warning: some images come again, and
        some not at all in this pass.
        """
        super().load_state_dict(state_dict)
        same_shards = state_dict.get("num_shards") == self._num_shards
        if not same_shards or state_dict["world_size"] != self.share.world_size:
            log.warning(
                "The checkpoint was written by another number of processes or with other shards: "
                "the order of the images is not exactly that of an uninterrupted run."
            )
        if same_shards:
            self._samples.num_samples.update(state_dict["num_samples"])
        for future in self._ahead:
            if not future.cancel():
                future.exception()  # when it is done
        self._ahead.clear()
        self._batches = None

    def _batch(self, number: int) -> Batch:
        """Return batch `number`, which comes after the last one unless a position was loaded.

        Raises:
            UserError: if a shard cannot be read, or there are no images or only damaged ones.
        """
        if self._batches is None:
            self._batches = self._batches_from(number)
        while len(self._ahead) <= _AHEAD:
            self._ahead.append(self._maker.submit(next, self._batches))
        return self._ahead.popleft().result()

    def _batches_from(self, number: int) -> Generator[Batch, None, None]:
        """Yield this process's batches from batch `number` on."""
        if number:
            log.info("Reading shards up to where training stopped.")
        size = self.share.batch_size
        samples = self._samples.start(skip=number * size)
        waiting: deque[Sample] = deque()
        while True:
            waiting.extend(islice(samples, max(0, size - len(waiting))))
            good: list[Decoded] = []  # the last one first
            places = self.share.places(number) if self.crop == "random" else [0.5] * size
            decoded = list(self._decoders.map(self._decode, islice(waiting, size), places))
            for one in reversed(decoded):
                if one is None:  # the one after it takes its place
                    one = good[-1] if good else self._following(waiting, samples)
                good.append(one)
            for _ in range(size):
                waiting.popleft()
            pixels, labels = zip(*good[::-1], strict=True)
            batch = np.stack(pixels)
            self.share.mirror(batch, number)
            number += 1
            images = torch.from_numpy(batch)
            yield images if self.images.labels is None else (images, torch.tensor(labels))

    def _following(self, waiting: deque[Sample], samples: Iterator[Sample]) -> Decoded:
        """Return the first good image after the batch with which `waiting` begins.

        What is looked at stays in `waiting`: were damaged images to move the others up, a position
        would say how many were damaged before, and only reading and decoding all of them would
        lead there.
        """
        for place in range(self.share.batch_size, self.share.batch_size + _MOST_DAMAGED):
            if place == len(waiting):
                waiting.append(next(samples))
            decoded = self._decode(waiting[place])
            if decoded is not None:
                return decoded
        raise UserError(
            f"{_MOST_DAMAGED} images one after the other cannot be read, the last of them "
            f"{waiting[-1].title}"
        )

    def _decode(self, sample: Sample, place: float = 0.5) -> Decoded | None:
        """Return pixels and label; None, and a warning why, if there are no pixels."""
        _, channels, height, width = self.images.shape
        size, crop = (height, width), self.crop
        pixels = pixels_or_reason(lambda: open_image(sample.data), size, channels, crop)
        if not isinstance(pixels, str):
            return crop_at(pixels, size, place), sample.label
        if sample.title not in self._damaged:
            self._damaged.add(sample.title)
            count = len(self._damaged)
            if count <= _WARNINGS:
                log.warning("%s cannot be read and is left out: %s", sample.title, pixels)
            elif str(count).strip("0") == "1":  # 10, 100, 1000, …
                log.warning("%d images that cannot be read have been left out so far", count)
        return None
