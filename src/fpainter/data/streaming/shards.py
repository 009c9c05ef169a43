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
    """An image as it was stored: a short name for messages, and the file's bytes."""

    label: str
    data: bytes


class Shards(Protocol):
    """Encoded images in a fixed order, in parts that can be read one without the others.

    Attributes:
        name: short, for the name of the cache folder and for messages.
        labels: what each shard is called.
    """

    name: str
    labels: list[str]

    def fingerprint(self) -> str:
        """Return a sha256 in hex that changes when the shards do, as far as can be seen outside."""

    def read(self, shard: int) -> Iterator[Sample]:
        """Yield the images of shard 0 ≤ `shard` < len(labels), always in the same order.

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
            label, reason = shards.labels[shard], first_line(error)
            if attempt == 2:
                raise UserError(
                    f"the shard {label} cannot be read ({reason}), also not a second time; "
                    "mend it or leave it out"
                ) from error
            log.warning("the shard %s cannot be read (%s): trying once more", label, reason)


def samples_in_order(shards: Shards) -> Iterator[Sample]:
    """Yield all images of all shards, unshuffled; raises as `read_shard`."""
    return chain.from_iterable(read_shard(shards, shard) for shard in range(len(shards.labels)))


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
        self._shards = shards
        self._count = count
        self._samples: list[tuple[str, int, int]] | None = None
        self._bytes: mmap.mmap | bytes = b""

    def __len__(self) -> int:
        return len(self._read())

    def fingerprint(self) -> str:
        """Return a sha256 over the shards' fingerprint and the number of images."""
        return sha256([self._shards.fingerprint(), self._count])

    def label(self, index: int) -> str:
        """Return the image's name in its shard."""
        return self._read()[index][0]

    def open(self, index: int) -> Image.Image:
        """Return image `index`, not decoded yet; see `ImageSource.open`."""
        _, start, stop = self._read()[index]
        return open_image(self._bytes[start:stop])

    def forget(self) -> None:
        """Free what was read; it is read again if asked for."""
        self._samples, self._bytes = None, b""

    def _read(self) -> list[tuple[str, int, int]]:
        """Return every image's label and where its bytes begin and end."""
        if self._samples is None:
            log.info("Reading the first %d images of %s.", self._count, self.name)
            samples: list[tuple[str, int, int]] = []
            with tempfile.TemporaryFile() as file, reporting() as report:
                for sample in islice(samples_in_order(self._shards), self._count):
                    start = file.tell()
                    file.write(sample.data)
                    samples.append((sample.label, start, file.tell()))
                    report(f"Reading {self.name}", len(samples), self._count)
                file.flush()
                if file.tell():
                    self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            if not samples:
                raise UserError(
                    f"no images in the {len(self._shards.labels)} shards of {self.name}"
                )
            self._samples = samples
        return self._samples
