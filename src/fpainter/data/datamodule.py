"""The images of a training as a LightningDataModule."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch import LightningDataModule

from fpainter.data.cache import CachedImages, cache_images, default_cache_dir
from fpainter.data.decode import check_channels, check_crop
from fpainter.data.finding import image_source
from fpainter.data.formats.torchvision import TorchvisionImages
from fpainter.data.labels import LabelledImages, classes_of, with_labels
from fpainter.data.loader import BatchShare, BatchStream
from fpainter.data.parts import part_of
from fpainter.data.portraits import HAIR_COLOURS, Portraits
from fpainter.data.sources import ImageSource
from fpainter.errors import UserError
from fpainter.nn.sizes import as_size, is_whole

log = logging.getLogger(__name__)


class ImageDataModule(LightningDataModule):
    """Serve uint8 batches [B C H W] of one collection of images, decoded once into a cache.

    Where the images have labels, a batch is a pair of the images and their labels, int64 [B].

    Args:
        source: the pictures.
        image_size: one positive int for square images, or [height, width].
        channels: 1 (grey), 3 (RGB) or 4 (RGBA).
        batch_size: images of one iteration, all processes together; positive.
        seed: decides the order of the images and the flips; ≥ 0.
        flip: mirror each image left-right with probability ½.
        cache_dir: where decoded images are kept; None for `default_cache_dir()`.
        crop: how images of another shape get their size, as in `render`; with ``random`` an
            image is cut elsewhere in every batch.

    Raises:
        ValueError: if an argument is not one of the values above.
    """

    def __init__(
        self,
        source: ImageSource,
        image_size: int | Sequence[int],
        channels: int = 3,
        batch_size: int = 20,
        seed: int = 0,
        flip: bool = False,
        cache_dir: str | None = None,
        crop: str = "centre",
    ) -> None:
        super().__init__()
        for name, value, least in (("batch_size", batch_size, 1), ("seed", seed, 0)):
            if not is_whole(value, least):
                raise ValueError(f"{name} must be an int ≥ {least}, got {value!r}")
        if not isinstance(flip, bool):
            raise ValueError(f"flip must be true or false, got {flip!r}")
        self.source = source
        self.image_size = as_size(image_size)
        self.channels = check_channels(channels)
        self.batch_size = batch_size
        self.seed = seed
        self.flip = flip
        self.cache_dir = cache_dir
        self.crop = check_crop(crop)
        self._images: CachedImages | None = None

    def __str__(self) -> str:
        # Lightning's own would read the training stream to its end, which it has not.
        height, width = self.image_size
        return (
            f"{type(self).__name__}({self.source.name}, {self._extent()}, "
            f"{self.channels}×{height}×{width}, batch_size={self.batch_size})"
        )

    @classmethod
    def from_folder(
        cls,
        image_size: int | Sequence[int],
        dir: str | None = None,
        hint: str | None = None,
        key: str | None = None,
        resolution: int | None = None,
        labels: bool = False,
        class_names: Sequence[str] | None = None,
        num_images: int | None = None,
        held_out: float = 0.0,
        part: str = "train",
        **options: Any,
    ) -> "ImageDataModule":
        """Serve the images of a folder or of a file that holds many.

        Args:
            image_size: as in the constructor.
            dir: the folder or file; None is refused with the hint.
            hint: one sentence on where to get the data, shown when there is none at `dir`.
            key: as in `image_source`.
            resolution: as in `image_source`.
            labels: serve labels, too, as `classes_of` finds them.
            num_images: as in `part_of`, like the next two.
            held_out: the fraction that is kept from training.
            part: train or test.
            class_names: what the labels are called, in their order; None for the classes found.
            **options: the constructor's.

        Raises:
            UserError: if `dir` is None, does not exist, or holds no images, or if an image has no
                label or one that is not among `class_names`.
            ValueError: as in the constructor.
        """
        source = image_source(dir, hint, key=key, resolution=resolution)
        if wanted(labels):
            source = LabelledImages(source, *classes_of(source), class_names)
        return cls(part_of(source, num_images, held_out, part), image_size, **options)

    @classmethod
    def from_torchvision(
        cls,
        image_size: int | Sequence[int],
        name: str | None = None,
        dir: str | None = None,
        download: bool = False,
        options: Mapping[str, Any] | None = None,
        labels: bool = False,
        class_names: Sequence[str] | None = None,
        num_images: int | None = None,
        held_out: float = 0.0,
        part: str = "train",
        **settings: Any,
    ) -> "ImageDataModule":
        """Serve the images of a data set of torchvision.

        Args:
            image_size: as in the constructor.
            name: as in `TorchvisionImages`, like the next three; None is refused.
            dir: where its files are; None is refused.
            download: fetch them if they are not there.
            options: further arguments of its class.
            labels: serve labels, too: its targets.
            class_names: as in `from_folder`, like the next three.
            num_images: how many.
            held_out: the fraction that is kept from training.
            part: train or test.
            **settings: the constructor's.

        Raises:
            UserError: as in `TorchvisionImages`.
            ValueError: as in the constructor.
        """
        if name is None or dir is None:
            raise UserError(
                "no images to train on. Give data.name=CIFAR10, or another data set of "
                "torchvision, and data.dir=PATH, where its files are"
            )
        source: ImageSource = TorchvisionImages(name, dir, download, options)
        if wanted(labels):
            source = LabelledImages(source, *classes_of(source), class_names)
        return cls(part_of(source, num_images, held_out, part), image_size, **settings)

    @classmethod
    def from_portraits(
        cls,
        image_size: int | Sequence[int],
        num_images: int = 4096,
        portrait_seed: int = 0,
        labels: bool = False,
        class_names: Sequence[str] | None = None,
        **options: Any,
    ) -> "ImageDataModule":
        """Serve drawn portraits, which need no download.

        Args:
            image_size: as in the constructor.
            num_images: how many different portraits, positive.
            portrait_seed: which ones, ≥ 0.
            labels: serve labels, too: the colour of the hair.
            class_names: as in `from_folder`.
            **options: the constructor's.

        Raises:
            UserError: if a colour is not among `class_names`.
            ValueError: as in the constructor, and from `Portraits`.
        """
        source = Portraits(num_images, portrait_seed)
        if not wanted(labels):
            return cls(source, image_size, **options)
        colours = [source.hair_colour(index) for index in range(num_images)]
        labelled = LabelledImages(source, colours, HAIR_COLOURS, class_names)
        return cls(labelled, image_size, **options)

    @property
    def class_names(self) -> tuple[str, ...]:
        """What label i is called; none where the images have no labels."""
        labelled = with_labels(self.source)
        return labelled.class_names if labelled else ()

    @property
    def images(self) -> CachedImages:
        """All images; the cache is built or opened when they are first asked for."""
        if self._images is None:
            self.prepare_data()
            assert self._images is not None
        return self._images

    def prepare_data(self) -> None:
        """Build the cache; Lightning calls this in one process of each machine, before all others.

        Raises:
            UserError: if no image can be read or the cache cannot be written.
        """
        directory = self.cache_dir or default_cache_dir()
        self._images = cache_images(
            self.source, self.image_size, self.channels, directory, self.crop
        )

    def train_dataloader(self) -> BatchStream:
        """Return the endless stream of this process's share of every batch.

        Raises:
            UserError: if `batch_size` cannot be shared equally by the trainer's processes.
        """
        if len(self.images) < self.batch_size:
            log.warning(
                "%d images are fewer than a batch of %d, and the discriminator soon knows them "
                "by heart",
                len(self.images), self.batch_size,
            )  # fmt: skip
        return BatchStream(self.images, self._share())

    def _share(self) -> BatchShare:
        rank, world_size, pin_memory = 0, 1, False
        if self.trainer is not None:
            rank, world_size = self.trainer.global_rank, self.trainer.world_size
            # Lightning copies with non_blocking=True, which overlaps from pinned memory only.
            pin_memory = self.trainer.strategy.root_device.type == "cuda"
        size = share_of_batch(self.batch_size, world_size)
        return BatchShare(size, self.seed, self.flip, rank, world_size, pin_memory)

    def _extent(self) -> str:
        return f"{len(self.source)} images"


def share_of_batch(batch_size: int, world_size: int) -> int:
    """Return how many images of a batch each process gets.

    Raises:
        UserError: if they cannot be shared equally.
    """
    if batch_size % world_size:
        raise UserError(
            f"batch_size={batch_size} is the batch of all processes together and cannot be "
            f"shared equally by {world_size}: choose a multiple of {world_size}"
        )
    return batch_size // world_size


def wanted(labels: Any) -> bool:
    """Return whether labels are asked for.

    Raises:
        ValueError: if it is neither true nor false.
    """
    if not isinstance(labels, bool):
        raise ValueError(f"labels must be true or false, got {labels!r}")
    return labels
