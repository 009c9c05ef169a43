"""Parts of a collection: so many of its images, or those held out from training."""

import hashlib
from typing import Any

from PIL import Image

from fpainter.data.labels import LabelledSource
from fpainter.data.sources import ImageSource, sha256
from fpainter.errors import UserError
from fpainter.nn.sizes import is_whole

PARTS = ("train", "test")


class ImagesAt:
    """Some pictures of a source, with its labels if it has any.

    Args:
        source: the pictures.
        indices: which of them, in the order they shall have.
    """

    def __init__(self, source: ImageSource, indices: list[int]) -> None:
        self.name = source.name
        self.class_names: tuple[str, ...] = getattr(source, "class_names", ())
        self._source: Any = source
        self._indices = indices

    def __len__(self) -> int:
        return len(self._indices)

    def fingerprint(self) -> str:
        """Return the sha256 over that of the source and which pictures these are."""
        return sha256(self._source.fingerprint(), self._indices)

    def title(self, index: int) -> str:
        """Return the picture's title; see `ImageSource.title`."""
        title: str = self._source.title(self._indices[index])
        return title

    def open(self, index: int) -> Image.Image:
        """Return picture `index`; see `ImageSource.open`."""
        picture: Image.Image = self._source.open(self._indices[index])
        return picture

    def class_label(self, index: int) -> int:
        """Return the label of picture `index`; see `LabelledSource.class_label`."""
        label: int = self._source.class_label(self._indices[index])
        return label


def part_of(
    source: ImageSource | LabelledSource,
    num_images: int | None = None,
    held_out: float = 0.0,
    part: str = "train",
) -> ImageSource:
    """Return a part of a source.

    Its pictures are ordered by the SHA-256 of their titles, which mixes folders and classes; the
    last ones are held out, and of the part asked for the first ones are taken. So with another
    `num_images` a part only grows or shrinks, and what is added to a data set leaves the order of
    the others as it was. The pictures of a part then come in the order of the source.

    Args:
        source: the pictures.
        num_images: how many, if there are as many; None for all.
        held_out: the fraction, rounded to whole pictures, that is kept from training, from 0 up
            to below 1.
        part: ``train``, or ``test`` for what is held out.

    Raises:
        ValueError: if an argument is not one of the values above.
        UserError: if the part would be empty.
    """
    if num_images is not None and not is_whole(num_images):
        raise ValueError(f"num_images must be an int ≥ 1 or null, got {num_images!r}")
    if isinstance(held_out, bool) or not isinstance(held_out, int | float) or not 0 <= held_out < 1:
        raise ValueError(f"held_out must be a fraction from 0 to below 1, got {held_out!r}")
    if part not in PARTS:
        raise ValueError(f"part must be {' or '.join(PARTS)}, got {part!r}")
    if num_images is None and part == "train" and not held_out:
        return source
    total = len(source)
    num_held_out = round(held_out * total)
    if num_held_out == (0 if part == "test" else total):
        raise UserError(
            f"data.held_out={held_out} keeps {num_held_out} of {total} images of {source.name} "
            f"from training, which leaves none for data.part={part}"
        )
    ordered = sorted(range(total), key=lambda index: (_mixed(source.title(index)), index))
    border = total - num_held_out
    chosen = ordered[:border] if part == "train" else ordered[border:]
    return ImagesAt(source, sorted(chosen[:num_images]))


def _mixed(title: str) -> bytes:
    return hashlib.sha256(title.encode("utf-8", "backslashreplace")).digest()
