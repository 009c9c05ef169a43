"""Collections too large for one disk: encoded images, read shard after shard in a fixed order."""

import logging
import mmap
import tempfile
from collections.abc import Iterator
from itertools import chain, islice
from typing import NamedTuple, Protocol

from PIL import Image

from fpainter.data.sources import open_image, sha256
from fpainter.errors import UserError, first_line
from fpainter.progress import reporting

log = logging.getLogger(__name__)


class Sample(NamedTuple):
    """An image as it was stored: a short name for messages, the file's bytes, and its label."""

    title: str
    data: bytes
    label: int | None = None


class Shards(Protocol):
    """Encoded images in a fixed order, in parts that can be read one without the others.

    Those whose samples have labels also have the attribute ``class_names``: what label i is called.

    Attributes:
        name: short, for the name of the cache folder and for messages.
        titles: what each shard is called.
    """

    name: str
    titles: list[str]

    def fingerprint(self) -> str:
        """Return a sha256 in hex that changes when the shards do, as far as can be seen outside."""

    def read(self, shard: int) -> Iterator[Sample]:
        """Yield the images of shard 0 ≤ `shard` < len(titles), always in the same order.

        Raises:
            Exception: of any type, when the shard cannot be opened or ends too early.
        """


def read_shard(shards: Shards, shard: int) -> Iterator[Sample]:
    """Yield the images of one shard, going on after a failure once.

    Args:
        shards: the shards.
        shard: which one.

    Raises:
        UserError: if it fails a second time.
    """
    done = 0
    for attempt in (1, 2):
        try:
            for number, sample in enumerate(shards.read(shard)):
                if number >= done:
                    done += 1
                    yield sample
            return
        except UserError:
            raise
        except Exception as error:  # tarfile's, a file system's, or of any library
            title, reason = shards.titles[shard], first_line(error)
            if attempt == 2:
                raise UserError(
                    f"the shard {title} cannot be read ({reason}), also not a second time; "
                    "mend it or leave it out"
                ) from error
            log.warning("the shard %s cannot be read (%s): trying once more", title, reason)


def samples_in_order(shards: Shards) -> Iterator[Sample]:
    """Yield all images of all shards, unshuffled; raises as `read_shard`."""
    return chain.from_iterable(read_shard(shards, shard) for shard in range(len(shards.titles)))


class FirstImages:
    """The first images of some shards, as an `ImageSource`.

    Nothing is read before it is asked for, and then the encoded images wait in a temporary file,
    so that any number of them takes no memory.

    Args:
        shards: the shards, read in their own order.
        count: how many images, if there are as many.
    """

    def __init__(self, shards: Shards, count: int) -> None:
        self.name = shards.name
        self.class_names: tuple[str, ...] = tuple(getattr(shards, "class_names", ()))
        self._shards = shards
        self._count = count
        self._samples: list[tuple[str, int, int, int | None]] | None = None
        self._bytes: mmap.mmap | bytes = b""

    def __len__(self) -> int:
        return len(self._read())

    def fingerprint(self) -> str:
        """Return a sha256 over the shards' fingerprint and the number of images."""
        return sha256([self._shards.fingerprint(), self._count])

    def title(self, index: int) -> str:
        """Return the image's name in its shard."""
        return self._read()[index][0]

    def open(self, index: int) -> Image.Image:
        """Return image `index`, not decoded yet; see `ImageSource.open`."""
        _, start, stop, _ = self._read()[index]
        return open_image(self._bytes[start:stop])

    def class_label(self, index: int) -> int:
        """Return the image's label, if they have labels."""
        label = self._read()[index][3]
        assert label is not None
        return label

    def forget(self) -> None:
        """Free what was read; it is read again if asked for."""
        self._samples, self._bytes = None, b""

    def _read(self) -> list[tuple[str, int, int, int | None]]:
        """Return every image's title, where its bytes begin and end, and its label."""
        if self._samples is None:
            log.info("Reading the first %d images of %s.", self._count, self.name)
            samples: list[tuple[str, int, int, int | None]] = []
            with tempfile.TemporaryFile() as file, reporting() as report:
                for sample in islice(samples_in_order(self._shards), self._count):
                    start = file.tell()
                    file.write(sample.data)
                    samples.append((sample.title, start, file.tell(), sample.label))
                    report(f"Reading {self.name}", len(samples), self._count)
                file.flush()
                if file.tell():
                    self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            if not samples:
                raise UserError(
                    f"no images in the {len(self._shards.titles)} shards of {self.name}"
                )
            self._samples = samples
        return self._samples
