"""Arrays of pixels, and the `.npy` and `.npz` files that hold them."""

import math
import mmap
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from fpainter.data.labels import numbered
from fpainter.data.sources import check_compression, printable, sha256
from fpainter.errors import UserError, first_line

AXES = "uint8 [N H W], [N H W C] or [N C H W] with C = 1, 3 or 4"
CHANNELS = (1, 3, 4)
"""How many a picture can have."""
_MOST_RATIO = 1100  # deflate makes at most 1,032 bytes of one


class Stored(NamedTuple):
    """What is known of an array before it is read: its shape and the type of its numbers."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def __str__(self) -> str:
        return f"{self.dtype} [{' '.join(map(str, self.shape))}]"

    @property
    def holds_images(self) -> bool:
        """Whether these are N pictures, `AXES`, none of them larger than Pillow allows."""
        if self.dtype != np.uint8 or len(self.shape) not in (3, 4) or min(self.shape) < 1:
            return False
        if len(self.shape) == 4 and not {self.shape[1], self.shape[3]} & {*CHANNELS}:
            return False
        return math.prod(self.shape[1:]) <= (Image.MAX_IMAGE_PIXELS or math.inf)


def picture(pixels: np.ndarray) -> Image.Image:
    """Return uint8 [H W], [H W C] or [C H W] as a picture; where both fit, channels are last."""
    if pixels.ndim == 3 and pixels.shape[-1] not in CHANNELS:
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    return Image.fromarray(np.ascontiguousarray(pixels))


def pick(found: Mapping[str, Stored], key: str | None, path: Path) -> str:
    """Return which array of a file holds its images.

    Args:
        found: the arrays by their names.
        key: ``data.key``; None for the only one that fits.
        path: of the file, for messages.

    Raises:
        UserError: if it does not fit, or, without a key, none or several do.
    """
    names = ", ".join(f"{printable(name)} {stored}" for name, stored in [*found.items()][:10])
    if key is not None:
        if key not in found:
            raise UserError(f"data.key={key}: {path} has no such array; it has {names or 'none'}")
        if not found[key].holds_images:
            raise UserError(f"data.key={key}: {path} has {found[key]} there, not {AXES}")
        return key
    fitting = [name for name, stored in found.items() if stored.holds_images]
    if not fitting:
        raise UserError(f"{path} holds no images, {AXES}; it has {names or 'no array'}")
    if len(fitting) > 1:
        raise UserError(f"{path} has several arrays of images, choose one with data.key=: {names}")
    return fitting[0]


class ArrayImages:
    """The pictures of one array of a file, as an `ImageSource`.

    Args:
        path: the file.
        key: the array's name in it; an empty one if it has no other.
        stored: its shape and type.
    """

    def __init__(self, path: Path, key: str, stored: Stored) -> None:
        self.path = path
        self.name = path.stem
        self.key = key
        self.shape = stored.shape

    def __len__(self) -> int:
        return self.shape[0]

    def fingerprint(self) -> str:
        """Return the sha256 over the file's name, size and time, and the array's name and shape."""
        status = self.path.stat()
        own = self.path.name, status.st_size, status.st_mtime_ns, self.key, self.shape
        return sha256(own)

    def title(self, index: int) -> str:
        """Return the picture's place in the array."""
        return f"{printable(self.key or self.name)}[{index}]"

    def open(self, index: int) -> Image.Image:
        """Return picture `index`; see `ImageSource.open`."""
        return picture(self.pixels(index))

    def pixels(self, index: int) -> np.ndarray:
        """Return one entry of the array, uint8 [H W], [H W C] or [C H W]."""
        raise NotImplementedError

    def label_names(self) -> Sequence[str]:
        """Return where labels may be: ``labels``, or beside ``train_images`` ``train_labels``."""
        group, slash, own = self.key.rpartition("/")
        names = dict.fromkeys((own.replace("images", "labels"), "labels"))
        return [f"{group}{slash}{name}" for name in names if name != own]

    def labels(self) -> np.ndarray | None:
        """Return the labels that the file has beside the images, [N] or [N 1]; None for none."""
        raise NotImplementedError

    def classes(self) -> tuple[list[str], list[str]] | None:
        """Return the class of each picture, and all classes in order; None if there are none.

        Raises:
            UserError: if the labels are not whole numbers, one for each picture.
        """
        found = self.labels()
        if found is None:
            return None
        if found.size != len(self) or found.dtype.kind not in "iu":
            stored = Stored(found.shape, found.dtype)
            raise UserError(
                f"data.labels=true: the labels of {self.path} are {stored}, not a whole number for "
                f"each of {len(self)} images"
            )
        return numbered(found.ravel().tolist(), self.path)


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """Turn what a damaged or foreign file leads to into a `UserError`.

    Args:
        path: the file, for the message.
    """
    try:
        yield
    except (MemoryError, UserError):
        raise
    except Exception as error:  # of zipfile, zlib, tokenize, NumPy or HDF5
        raise UserError(f"{path} is damaged or of another kind: {first_line(error)}") from error


class ArrayFile(ArrayImages):
    """The pictures of a `.npy` or `.npz` file; nothing in it is ever unpickled.

    Of a `.npy` each picture is read when it is asked for. The array of a `.npz` is unpacked into a
    temporary file when the first one is.

    Args:
        path: the file.
        key: which array of a `.npz` holds the images; None for the only one that fits. Labels are
            `labels`, or `train_labels` beside `train_images`.

    Raises:
        UserError: if it is neither, is damaged, or holds no such array.
    """

    def __init__(self, path: Path, key: str | None = None) -> None:
        self._lock = threading.Lock()
        self._unpacked: mmap.mmap | None = None
        with damage(path):
            packed = zipfile.is_zipfile(path)
            headers = _headers_in_zip(path) if packed else {"": _header_of_file(path)}
        if key is not None and not packed:
            raise UserError(f"data.key={key}: {path} has one array, which needs no key")
        chosen = pick({name: stored for name, (stored, *_) in headers.items()}, key, path)
        stored, self._offset, available, order = headers[chosen]
        super().__init__(path, chosen, stored)
        if order:
            raise UserError(
                f"{path} holds its array in Fortran's order; save numpy.ascontiguousarray of it"
            )
        if math.prod(self.shape) > available:
            raise UserError(
                f"{path} is cut off: {math.prod(self.shape)} bytes of pixels should be there, and "
                f"{available} are"
            )
        self._packed = packed
        self._names = set(headers)

    def __reduce__(self) -> tuple[Any, ...]:
        return ArrayFile, (self.path, self.key or None)

    def pixels(self, index: int) -> np.ndarray:
        """Return one entry of the array, uint8 [H W], [H W C] or [C H W]."""
        size = math.prod(self.shape[1:])
        start = self._offset + index * size
        if self._packed:
            with self._lock:
                if self._unpacked is None:
                    self._unpacked = self._unpack()
            data = self._unpacked[start : start + size]
        else:
            with self.path.open("rb") as file:
                file.seek(start)
                data = file.read(size)
        return np.frombuffer(data, np.uint8).reshape(self.shape[1:])

    def labels(self) -> np.ndarray | None:
        """Return the labels that a `.npz` has beside the images; None for none."""
        name = next((name for name in self.label_names() if name in self._names), None)
        if name is None:
            return None
        with (
            damage(self.path),
            zipfile.ZipFile(self.path) as archive,
            archive.open(f"{name}.npy") as member,
        ):
            stored, _, _ = _header(member)
            if stored.dtype.hasobject or math.prod(stored.shape) > len(self):
                return np.empty(0)
            data = member.read(math.prod(stored.shape) * stored.dtype.itemsize)
            return np.frombuffer(data, stored.dtype).reshape(stored.shape)

    def _unpack(self) -> mmap.mmap:
        """Copy the array into a temporary file, which checks it."""
        with zipfile.ZipFile(self.path) as archive:
            info = archive.getinfo(f"{self.key}.npy")
            folder = tempfile.gettempdir()
            if shutil.disk_usage(folder).free < info.file_size:
                raise UserError(
                    f"to read {self.path}, {info.file_size / 1e9:.1f} GB are needed in {folder}; "
                    "set the environment variable TMPDIR to a folder with enough space"
                )
            with (
                damage(self.path),
                archive.open(info) as member,
                tempfile.TemporaryFile() as file,
            ):
                shutil.copyfileobj(member, file, 1 << 20)
                file.flush()
                # It stays there without its name and without the file object.
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


# Shape and type, where the numbers begin, how many bytes there are, and Fortran's order.
_Header = tuple[Stored, int, int, bool]


def _header(file: Any) -> tuple[Stored, int, bool]:
    """Read what stands before the numbers of an array: literals, which are not evaluated."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): "read_array_header_1_0", (2, 0): "read_array_header_2_0"}
    if version not in readers:
        raise ValueError(f"a version {version} of the format is not read")
    shape, fortran, dtype = getattr(np.lib.format, readers[version])(file)
    return Stored(tuple(map(int, shape)), dtype), file.tell(), fortran


def _header_of_file(path: Path) -> _Header:
    with path.open("rb") as file:
        stored, offset, fortran = _header(file)
        return stored, offset, path.stat().st_size - offset, fortran


def _headers_in_zip(path: Path) -> dict[str, _Header]:
    found = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.filename.endswith(".npy"):
                continue
            check_compression(info)
            if info.file_size > _MOST_RATIO * info.compress_size + 1000:
                raise ValueError(f"{printable(info.filename)} claims {info.file_size} bytes")
            with archive.open(info) as member:
                stored, offset, fortran = _header(member)
            rest = info.file_size - offset
            found[info.filename.removesuffix(".npy")] = stored, offset, rest, fortran
    return found
