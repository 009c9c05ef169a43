"""An endless, exactly resumable stream of training batches."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fpainter.data.cache import CachedImages
from fpainter.nn.seeds import stream_seed

_log = logging.getLogger(__name__)

# Lightning looks one batch ahead into a loader without a length, and the saved position would
# then be one batch late. It sums the lengths of all processes in an int64, so the length may not
# be near 2⁶³ either; this one is years of training. Should it be reached, Lightning starts
# another epoch, which continues the stream.
_LENGTH = 2**31 - 1


Batch = Tensor | tuple[Tensor, Tensor]
"""Images uint8 [B C H W]; where they have labels, these, too: int64 [B]."""


@dataclass(frozen=True)
class BatchShare:
    """One process's share of every batch.

    Args:
        batch_size: images in a batch of this process, positive.
        seed: any int; another seed gives another order.
        flip: mirror each image left-right with probability ½.
        rank: this process, 0 ≤ rank < world_size.
        world_size: how many processes share each batch.
        pin_memory: put each batch into page-locked memory, from which it is copied to a CUDA device
            while the CPU goes on.

    Raises:
        ValueError: if an argument is out of range.
    """

    batch_size: int
    seed: int
    flip: bool = False
    rank: int = 0
    world_size: int = 1
    pin_memory: bool = False

    def __post_init__(self) -> None:
        if self.batch_size <= 0:
            raise ValueError(f"batch_size must be positive, got {self.batch_size}")
        if not 0 <= self.rank < self.world_size:
            raise ValueError(
                f"rank must be within 0..world_size−1, got rank {self.rank} of world_size "
                f"{self.world_size}"
            )

    @property
    def global_batch_size(self) -> int:
        """Images in a batch of all processes together."""
        return self.batch_size * self.world_size

    def places(self, number: int) -> list[float]:
        """Return where to cut each image of a batch, [B] within 0..1, if its place is random.

        Args:
            number: which batch, ≥ 0.
        """
        # Drawn for the batch of all processes, so that sharing it differently changes nothing.
        drawn = torch.rand(self.global_batch_size, generator=_generator(self.seed, number, "crop"))
        return drawn[self.rank * self.batch_size :][: self.batch_size].tolist()

    def mirror(self, pixels: np.ndarray, number: int) -> None:
        """Mirror in place those images of a batch that shall be.

        In NumPy: torch would wake its thread pool for so few bytes, which was measured twenty times
        slower on a busy machine.

        Args:
            pixels: this process's share of the batch, [B C H W].
            number: which batch, ≥ 0.
        """
        if not self.flip:
            return
        # Drawn for the batch of all processes, so that sharing it differently changes nothing.
        coins = torch.rand(self.global_batch_size, generator=_generator(self.seed, number, "flip"))
        flipped = (coins[self.rank * self.batch_size :][: self.batch_size] < 0.5).numpy()
        pixels[flipped] = pixels[flipped][..., ::-1]


class BatchStream:
    """Batches of all images in random order, pass after pass, without an end.

    The stream is the concatenation of one permutation of all images per pass. Batch n of all
    processes together is the n-th run of `batch_size · world_size` images of it, and process
    `rank` takes its contiguous share. So each image comes once per pass, batches reach from one
    pass into the next, and a batch may be larger than the data. Order, flips and the places of
    random crops are functions of (seed, n) alone: neither the number of processes nor an
    interruption changes them, as long as `batch_size · world_size` is the same.

    It is its own iterator: iterating again goes on where it was. Lightning saves and restores the
    position with `state_dict` and `load_state_dict`.

    Args:
        images: the images, at least one.
        share: this process's share of every batch.

    Raises:
        ValueError: if there are no images.
    """

    def __init__(self, images: CachedImages, share: BatchShare) -> None:
        if len(images) == 0:
            raise ValueError("images must hold at least one image, got 0")
        self.images = images
        self.share = share
        self._next_batch = 0
        self._permutation: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        return _LENGTH

    def __iter__(self) -> "BatchStream":
        return self

    def __next__(self) -> Any:  # whoever reads knows whether there are labels
        """Return the next batch, a `Batch`, in memory of its own."""
        number = self._next_batch
        # Counted before it is handed out: a checkpoint written while this batch is in use
        # continues with the one after it.
        self._next_batch += 1
        batch = self._batch(number)
        if not self.share.pin_memory:
            return batch
        # PyTorch reuses pinned memory only when all copies from it have ended.
        if isinstance(batch, Tensor):
            return batch.pin_memory()
        return batch[0].pin_memory(), batch[1].pin_memory()

    def state_dict(self) -> dict[str, Any]:
        """Return the position: the next batch's number and the images in a batch of all ranks."""
        return {
            "next_batch": self._next_batch,
            "global_batch_size": self.share.global_batch_size,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a saved position.

        With another `batch_size · world_size` than it was saved with, the stream goes on at the
        last batch border before it, with a warning: up to one batch of images comes again.
        """
        size, own_size = state_dict["global_batch_size"], self.share.global_batch_size
        if size != own_size:
            _log.warning(
                "The checkpoint was written with batches of %d images and training goes on with "
                "%d: the order of the images is not exactly that of an uninterrupted run.",
                size,
                own_size,
            )
        self._next_batch = with_batches_of(own_size, state_dict)["next_batch"]

    def _batch(self, number: int) -> Batch:
        """Return this process's share of batch `number`."""
        share = self.share
        start = number * share.global_batch_size + share.rank * share.batch_size
        indices = self._indices(start, start + share.batch_size)
        batch = self.images.batch(indices, share.places(number) if self.images.movable else ())
        share.mirror(batch.numpy(), number)
        return batch if self.images.labels is None else (batch, self.images.labels[indices])

    def _indices(self, start: int, stop: int) -> Tensor:
        """Return places start..stop−1 of the stream, int64 [stop − start]."""
        pieces = []
        while start < stop:
            number, offset = divmod(start, len(self.images))
            piece = self._pass(number)[offset : offset + stop - start]
            pieces.append(piece)
            start += len(piece)
        return torch.cat(pieces)

    def _pass(self, number: int) -> Tensor:
        # Only the latest is kept: the stream moves forward.
        if self._permutation is None or self._permutation[0] != number:
            generator = _generator(self.share.seed, number, "pass")
            self._permutation = number, torch.randperm(len(self.images), generator=generator)
        return self._permutation[1]


def with_batches_of(size: int, position: dict[str, Any]) -> dict[str, Any]:
    """Return a stream's saved position for another number of images in a batch.

    It is the last border of the new batches before the old position.

    Args:
        size: images in a batch of all processes together.
        position: the ``state_dict()`` of a `BatchStream`.
    """
    place = position["next_batch"] * position["global_batch_size"]
    return position | {"next_batch": place // size, "global_batch_size": size}


def _generator(seed: int, number: int, stream: str) -> torch.Generator:
    return torch.Generator().manual_seed(stream_seed(seed, number, stream))
