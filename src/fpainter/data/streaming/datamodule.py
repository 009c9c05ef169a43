"""Training on images that are read from shards as they are needed and never stored."""

from collections.abc import Iterable, Sequence
from typing import Any

from fpainter.data.cache import CachedImages
from fpainter.data.datamodule import ImageDataModule
from fpainter.data.streaming.formats import DatasetShards, TarShards
from fpainter.data.streaming.shards import FirstImages, Shards
from fpainter.data.streaming.stream import ShardStream
from fpainter.errors import UserError
from fpainter.nn.sizes import is_whole


class StreamDataModule(ImageDataModule):
    """Serves uint8 batches [B C H W] of images that are read from shards as they are needed.

    Only the first images are decoded into the cache: `images`, the reference that FID and the
    other scores compare with. Where shards are sorted by what they show, so is the reference.

    Args:
        shards: Where the images come from.
        image_size: One positive int for square images, or [height, width].
        num_reference: How many images the reference has, if there are as many; positive.
        buffer_size: Encoded images that each process holds to shuffle them, positive.
        **options: Those of `ImageDataModule`; the reference is kept in its `cache_dir`.

    Raises:
        ValueError: If an argument is not one of the values above.
    """

    def __init__(
        self,
        shards: Shards,
        image_size: int | Sequence[int],
        num_reference: int = 10_000,
        buffer_size: int = 2_000,
        **options: Any,
    ) -> None:
        for name, value in (("num_reference", num_reference), ("buffer_size", buffer_size)):
            if not is_whole(value):
                raise ValueError(f"{name} must be an int ≥ 1, got {value!r}")
        self.reference = FirstImages(shards, num_reference)
        super().__init__(self.reference, image_size, **options)
        self.shards = shards
        self.buffer_size = buffer_size

    def __str__(self) -> str:
        height, width = self.image_size
        return (
            f"{type(self).__name__}({self.shards.name}, {len(self.shards.labels)} shards, "
            f"{self.channels}×{height}×{width}, batch_size={self.batch_size})"
        )

    @classmethod
    def from_shards(
        cls,
        image_size: int | Sequence[int],
        shards: str | Iterable[str] | None = None,
        **options: Any,
    ) -> "StreamDataModule":
        """Serve the images of tar files.

        Args:
            image_size: As in the constructor.
            shards: As in `TarShards`; None is refused.
            **options: The constructor's.

        Raises:
            UserError: As in `TarShards`.
            ValueError: As in the constructor.
        """
        if shards is None:
            raise UserError("no images to train on. Give data.shards=: tar files, a folder or URLs")
        return cls(TarShards(shards), image_size, **options)

    @classmethod
    def from_dataset(
        cls,
        image_size: int | Sequence[int],
        path: str | None = None,
        name: str | None = None,
        split: str = "train",
        column: str = "image",
        **options: Any,
    ) -> "StreamDataModule":
        """Serve the images of a Hugging Face data set.

        Args:
            image_size: As in the constructor.
            path: As in `DatasetShards`, like the next three; None is refused.
            name: Which configuration.
            split: Which part.
            column: Which column.
            **options: The constructor's.

        Raises:
            UserError: As in `DatasetShards`.
            ValueError: As in the constructor.
        """
        if path is None:
            raise UserError("no images to train on. Give data.path=OWNER/NAME or a local folder")
        return cls(DatasetShards(path, name, split, column), image_size, **options)

    def train_dataloader(self) -> ShardStream:
        """Return the endless stream of this process's share of every batch.

        Raises:
            UserError: If `batch_size` cannot be shared equally by the trainer's processes.
        """
        share = super().train_dataloader()
        return ShardStream(
            self.shards, self.images, share.batch_size, self.seed, self.flip, self.buffer_size,
            share.rank, share.world_size,
        )  # fmt: skip

    def _open_cache(self, progress: bool) -> CachedImages:
        images = super()._open_cache(progress)
        self.reference.forget()
        return images
