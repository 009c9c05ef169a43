"""Where pictures come from: an `ImageSource`, such as a folder or a zip file."""

import hashlib
import logging
import os
import stat
import threading
import zipfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from PIL import Image, UnidentifiedImageError

from fpainter.errors import UserError

log = logging.getLogger(__name__)

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
"""File names that count as images, in any letter case."""

RUN_MARK = ".hydra"  # in each folder that a command of this package has written into

# What Pillow's largest picture takes as RGB. A larger file is no photograph but an accident or an
# attack, and several threads would read such files at once.
MAX_BYTES = 256 << 20
# Python unpacks bzip2 and lzma without a bound: a kilobyte can become many gigabytes.
_UNBOUNDED = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "lzma"}
# Other decoders than those of `SUFFIXES` are not wanted, and Pillow's for PostScript runs programs.
# GIF, because pictures of the web are often called otherwise.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")


class ImageSource(Protocol):
    """A fixed, ordered collection of pictures.

    One whose pictures have labels is a `fpainter.data.labels.LabelledSource`.

    Attributes:
        name: short, for the name of the cache folder and for messages.
    """

    name: str

    def __len__(self) -> int:
        """Return how many pictures there are."""

    def fingerprint(self) -> str:
        """Return a sha256 in hex that changes when any picture does."""

    def title(self, index: int) -> str:
        """Return the picture's relative path (or another short name), for messages."""

    def open(self, index: int) -> Image.Image:
        """Return picture `index`, 0 ≤ index < len; called from several threads at once.

        Raises:
            Exception: of any type, when the picture is damaged.
        """


class ImageFolder:
    """The images in a folder and all folders below, sorted by their relative posix path.

    Hidden files and folders and `__MACOSX` are left out, and so are folders below it into which
    a command of this package has written its pictures. Links are followed, and every real folder
    is read once, so a link that leads back up does no harm. The listing is made at construction.

    Args:
        path: the folder.

    Raises:
        OSError: if it or a folder below cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self.name = self.path.resolve().name or "images"
        self._found = sorted(_walk(self.path))

    def __len__(self) -> int:
        return len(self._found)

    def fingerprint(self) -> str:
        """Return the sha256 over every image's relative path, size and modification time."""
        return sha256(*self._found)

    def title(self, index: int) -> str:
        """Return the image's path relative to the folder, without control characters."""
        return printable(self._found[index][0])

    def open(self, index: int) -> Image.Image:
        """Return image `index`, not decoded yet; see `ImageSource.open`."""
        return open_file(self.path / self._found[index][0])

    def paths(self) -> list[str]:
        """Return every image's path relative to the folder."""
        return [path for path, *_ in self._found]

    def read(self, name: str) -> bytes | None:
        """Return what a file at the top of the folder holds; None if there is no such file."""
        path = self.path / name
        return path.read_bytes() if path.is_file() else None


class ImageZip:
    """The images in a zip file, sorted by name; members are read in memory, never extracted.

    Hidden files and folders and `__MACOSX` are left out. Safe to read from several threads; a
    pickled one opens the file again by its path.

    Args:
        path: the zip file.

    Raises:
        UserError: if it is no readable zip file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self.name = self.path.stem
        # Reading seeks in one shared file: one thread at a time. Decoding, the slow part, is
        # outside the lock.
        self._lock = threading.Lock()
        try:
            self._zip = zipfile.ZipFile(self.path)
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise UserError(f"the zip file {self.path} is broken or unreadable: {error}") from error
        members = self._zip.infolist()
        if sum(info.compress_size for info in members) > self.path.stat().st_size:
            self._zip.close()
            raise UserError(f"the zip file {self.path} is broken: its members overlap")
        wanted = [info for info in members if not info.is_dir() and _wanted(info.filename)]
        self._members = sorted(wanted, key=lambda info: info.filename)

    def __reduce__(self) -> tuple[Any, ...]:
        return ImageZip, (self.path,)

    def __len__(self) -> int:
        return len(self._members)

    def fingerprint(self) -> str:
        """Return the sha256 over every image's name, CRC and size."""
        return sha256(*((info.filename, info.CRC, info.file_size) for info in self._members))

    def title(self, index: int) -> str:
        """Return the image's name inside the zip file, without control characters."""
        return printable(self._members[index].filename)

    def open(self, index: int) -> Image.Image:
        """Return image `index`, not decoded yet; see `ImageSource.open`."""
        return open_image(self._unpacked(self._members[index]))

    def paths(self) -> list[str]:
        """Return every image's name inside the zip file."""
        return [info.filename for info in self._members]

    def read(self, name: str) -> bytes | None:
        """Return what a file at the top of the zip file holds; None if there is no such file."""
        found = [info for info in self._zip.infolist() if info.filename == name]
        return self._unpacked(found[-1]) if found else None

    def _unpacked(self, info: zipfile.ZipInfo) -> bytes:
        check_size(info.file_size)
        check_compression(info)
        with self._lock, self._zip.open(info) as member:
            # Only so many bytes are unpacked, whatever there are; `read` checks the CRC then.
            return member.read(info.file_size)


def _walk(root: Path) -> Iterable[tuple[str, int, int]]:
    """Yield (relative posix path, size, mtime_ns) of every image below `root`."""
    seen: set[tuple[int, int]] = set()
    folders, links = [""], list[str]()
    while folders or links:
        # Links come after all real folders, so that what is reached twice goes by its real path.
        folder = folders.pop() if folders else links.pop(0)
        status = os.stat(root / folder)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        if folder and (root / folder / RUN_MARK).is_dir():
            log.info("pictures of a run in %s are left out", printable(folder))
            continue
        with os.scandir(root / folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                title = f"{folder}/{entry.name}" if folder else entry.name
                try:
                    status = entry.stat()
                except OSError:  # a link to nowhere, or to itself
                    continue
                if stat.S_ISDIR(status.st_mode):
                    if not _hidden(entry.name):
                        (links if entry.is_symlink() else folders).append(title)
                elif _wanted(entry.name) and stat.S_ISREG(status.st_mode):
                    yield title, status.st_size, status.st_mtime_ns


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _wanted(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not any(map(_hidden, path.parts))


def printable(name: str) -> str:
    """Escape what could forge a line of a log, move a terminal's cursor or turn text round."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in name)


def check_size(num_bytes: int) -> None:
    """Refuse to read more bytes than an image can have.

    Raises:
        ValueError: if there are.
    """
    if num_bytes > MAX_BYTES:
        raise ValueError(f"has {num_bytes} bytes, too large for an image")


def check_compression(info: zipfile.ZipInfo) -> None:
    """Refuse a member of a zip file that Python could unpack without a bound.

    Raises:
        ValueError: if it is one.
    """
    if info.compress_type in _UNBOUNDED:
        name = _UNBOUNDED[info.compress_type]
        raise ValueError(f"compressed with {name}; only stored and deflated members are read")


def sha256(*entries: object) -> str:
    """Return the sha256 in hex of plain data, such as names, sizes and times.

    `repr` quotes names, so that no two different lists of them give the same bytes.
    """
    digest = hashlib.sha256()
    for entry in entries:
        # The names of files that are not UTF-8 have lone surrogates, which are escaped.
        digest.update(repr(entry).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def open_file(path: Path) -> Image.Image:
    """Return the image in a file, not decoded yet.

    Raises:
        OSError, ValueError: if it cannot be read, is too large, or holds no image.
    """
    check_size(path.stat().st_size)
    return open_image(path.read_bytes())


def open_image(data: bytes) -> Image.Image:
    """Return the image that a file's bytes hold, not decoded yet.

    Raises:
        ValueError: if they hold none of the formats that are read.
    """
    # From memory, so that no file stays open while an image waits to be decoded.
    if not data:
        raise ValueError("the file is empty")
    try:
        return Image.open(BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError:
        # Pillow's own message shows the address of the buffer.
        raise ValueError("not an image, or damaged at the start") from None
