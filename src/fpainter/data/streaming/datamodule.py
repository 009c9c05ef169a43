"""Training on images that are read from shards as they are needed and never stored."""

from collections.abc import Iterable, Sequence
from typing import Any

from fpainter.data.datamodule import ImageDataModule, wanted
from fpainter.data.streaming.formats import DatasetShards, TarShards
from fpainter.data.streaming.shards import FirstImages, Shards
from fpainter.data.streaming.stream import ShardStream
from fpainter.errors import UserError
from fpainter.nn.sizes import is_whole


class StreamDataModule(ImageDataModule):
    """Serve uint8 batches [B C H W] of images that are read from shards as they are needed.

    Only the first images are decoded into the cache: `images`, the reference that FID and the
    other scores compare with. Where shards are sorted by what they show, so is the reference.

    Args:
        shards: where the images come from.
        image_size: one positive int for square images, or [height, width].
        num_reference: how many images the reference has, if there are as many; positive.
        buffer_size: encoded images that each process holds to shuffle them, positive.
        **options: those of `ImageDataModule`; the reference is kept in its `cache_dir`.

    Raises:
        ValueError: if an argument is not one of the values above.
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

    def prepare_data(self) -> None:
        """Build the cache of the reference; see `ImageDataModule.prepare_data`.

        Raises:
            UserError: if a shard or all images cannot be read, or the cache cannot be written.
        """
        super().prepare_data()
        self.reference.forget()

    @classmethod
    def from_shards(
        cls,
        image_size: int | Sequence[int],
        shards: str | Iterable[str] | None = None,
        labels: bool = False,
        class_names: Sequence[str] | None = None,
        **options: Any,
    ) -> "StreamDataModule":
        """Serve the images of tar files.

        Args:
            image_size: as in the constructor.
            shards: as in `TarShards`; None is refused.
            labels: serve labels, too.
            class_names: what they are called, needed for `labels`: nobody reads all shards first.
            **options: the constructor's.

        Raises:
            UserError: as in `TarShards`.
            ValueError: as in the constructor.
        """
        if shards is None:
            raise UserError("no images to train on. Give data.shards=: tar files, a folder or URLs")
        if wanted(labels) and not class_names:
            raise UserError(
                "data.labels=true: what the labels 0, 1, … of tar files are called must be given: "
                "data.class_names=[cat,dog]"
            )
        return cls(TarShards(shards, class_names if labels else None), image_size, **options)

    @classmethod
    def from_dataset(
        cls,
        image_size: int | Sequence[int],
        path: str | None = None,
        name: str | None = None,
        split: str = "train",
        column: str = "image",
        labels: bool = False,
        label_column: str = "label",
        class_names: Sequence[str] | None = None,
        **options: Any,
    ) -> "StreamDataModule":
        """Serve the images of a Hugging Face data set.

        Args:
            image_size: as in the constructor.
            path: as in `DatasetShards`, like the next three; None is refused.
            name: which configuration.
            split: which part.
            column: which column.
            labels: serve labels, too.
            label_column: which column holds them.
            class_names: as in `DatasetShards`.
            **options: the constructor's.

        Raises:
            UserError: as in `DatasetShards`.
            ValueError: as in the constructor.
        """
        if path is None:
            raise UserError("no images to train on. Give data.path=OWNER/NAME or a local folder")
        classes = (label_column, class_names) if wanted(labels) else ()
        return cls(DatasetShards(path, name, split, column, *classes), image_size, **options)

    def train_dataloader(self) -> ShardStream:
        """Return the endless stream of this process's share of every batch.

        Raises:
            UserError: if `batch_size` cannot be shared equally by the trainer's processes.
        """
        return ShardStream(self.shards, self.images, self._share(), self.buffer_size, self.crop)

    def _extent(self) -> str:
        return f"{len(self.shards.titles)} shards"
