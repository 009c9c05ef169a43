"""Files of records, one image each: what LMDB databases and TFRecord files have in common."""

import re
from array import array
from collections.abc import Iterable
from pathlib import Path

from fpainter.data.sources import check_size, sha256
from fpainter.errors import UserError

NAME = re.compile(r".+\.tfrecords?(-\d+-of-\d+)?", re.IGNORECASE)
"""What TFRecord files are called: data.tfrecords, train.tfrecord-00003-of-00016."""


class Records:
    """Runs of bytes in some files; nothing stays open, so threads and processes may share it.

    Args:
        paths: the files.
        name: of all of them together.
        places: for each record the number of its file, its first byte, and its length.

    Raises:
        UserError: if there is none.
    """

    def __init__(
        self, paths: list[Path], name: str, places: Iterable[tuple[int, int, int]]
    ) -> None:
        self.paths = paths
        self.path = paths[0]
        self.name = name
        self._places = array("Q")
        for place in places:
            self._places.extend(place)
        if not self._places:
            raise UserError(f"{self.path} holds no images")

    def __len__(self) -> int:
        return len(self._places) // 3

    def fingerprint(self) -> str:
        """Return the sha256 over the files' names, sizes and times, and all records' places."""
        states = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in self.paths]
        return sha256(states, self._places.tobytes())

    def record(self, index: int) -> bytes:
        """Return the bytes of record `index`.

        Raises:
            ValueError: if they are too many for an image, or the file has become shorter.
        """
        number, start, size = self._places[3 * index : 3 * index + 3]
        check_size(size)
        with self.paths[number].open("rb") as file:
            file.seek(start)
            data = file.read(size)
        if len(data) < size:
            raise ValueError(f"{self.paths[number]} has become shorter")
        return data


def record_files(folder: Path) -> list[Path]:
    """Return the TFRecord files of a folder, sorted by name."""
    return sorted(file for file in folder.iterdir() if NAME.fullmatch(file.name) and file.is_file())


def of_resolution(found: Iterable[int], resolution: int | None, where: Path) -> int:
    """Return which of several resolutions is to be read.

    Args:
        found: those there are.
        resolution: ``data.resolution``; None for the largest.
        where: they are, for the message.

    Raises:
        UserError: if the one that is wanted is not there.
    """
    sizes = sorted({*found})
    if resolution is None and sizes:
        return sizes[-1]
    if resolution in sizes:
        return resolution
    there = ", ".join(map(str, sizes)) or "one only, without a number"
    raise UserError(f"data.resolution={resolution}: {where} has {there}")
