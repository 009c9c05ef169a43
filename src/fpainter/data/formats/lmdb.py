"""LMDB databases of encoded images, as LSUN and the StyleGAN family keep them."""

import mmap
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from fpainter.data.formats.records import Records, of_resolution
from fpainter.data.sources import open_image, printable
from fpainter.errors import UserError

FILE = "data.mdb"
MAGIC = 0xBEEFC0DE
# Entries that say how many images there are.
_COUNTS = {b"length", b"__len__", b"__keys__", b"num-samples", b"num_samples"}
# Several sizes of the same images: `64-00012`.
_SIZED = re.compile(rb"(\d+)-\d+")

_HEADER = 16  # bytes of a page before what it holds: number, -, flags, and the end of its index
_BRANCH, _LEAF, _OVERFLOW, _FIXED = 0x01, 0x02, 0x04, 0x20
_ELSEWHERE = 0x01  # of a node: its data are on pages of their own
_OLD, _NONE = 1, 2**64 - 1


class LMDBImages(Records):
    """The pictures of an LMDB database, in the order of their keys.

    Its pages are read here, and every number in them is checked: the LMDB library trusts a file,
    and a damaged one can end the process. Read are the files that it writes on 64-bit machines.

    Args:
        path: the database, a folder with `data.mdb` or such a file.
        resolution: which one, if keys begin with one, as `64-00012`; None for the largest.

    Raises:
        UserError: if it is damaged, has no images, or not in this resolution.
    """

    def __init__(self, path: Path, resolution: int | None = None) -> None:
        file = path / FILE if path.is_dir() else path
        if not file.is_file():
            raise UserError(f"{file} is no file")
        try:
            found = [entry for entry in _entries(file) if entry[0] not in _COUNTS]
        except (ValueError, struct.error, IndexError, OSError) as error:
            raise UserError(f"{file} is damaged or no LMDB database: {error}") from error
        sizes = {key: _SIZED.fullmatch(key) for key, *_ in found}
        if resolution is not None or (found and all(sizes.values())):
            numbers = {key: int(match[1]) for key, match in sizes.items() if match}
            wanted = of_resolution(numbers.values(), resolution, path)
            found = [entry for entry in found if numbers.get(entry[0]) == wanted]
        super().__init__(
            [file], path.resolve().stem, ((0, start, size) for _, start, size in found)
        )
        self._keys = [key for key, *_ in found]

    def title(self, index: int) -> str:
        """Return the picture's key."""
        return printable(self._keys[index].decode("utf-8", "backslashreplace"))

    def open(self, index: int) -> Image.Image:
        """Return picture `index`, not decoded yet; see `ImageSource.open`."""
        return open_image(self.record(index))


def _entries(path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Yield every key of the main database with where its value begins and how long it is.

    Source: the layout of pages in LMDB 0.9, ``mdb.c``, little-endian and 64-bit.

    Raises:
        ValueError, struct.error: if a page is not what it should be.
    """
    size = path.stat().st_size
    if size < 4096:
        raise ValueError("it is too short")
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
        page_size, root = _newest(data, size)
        if root == _NONE:
            return
        seen = set[int]()
        pages = [root]
        while pages:
            page = pages.pop()
            start = page * page_size
            if page in seen or not 2 <= page < size // page_size:
                raise ValueError(f"there can be no page {page} here")
            seen.add(page)
            _, _, flags, lower = struct.unpack_from("<QHHH", data, start)
            num = (lower - _HEADER) // 2
            if not flags & (_BRANCH | _LEAF) or flags & _FIXED or not 0 <= num < page_size // 2:
                raise ValueError(f"page {page} is none of keys")
            nodes = struct.unpack_from(f"<{num}H", data, start + _HEADER)
            if flags & _BRANCH:
                pages += reversed([_child(data, start + node) for node in nodes])
                continue
            for node in nodes:
                yield _value(data, start, node, page_size, size)


def _newest(data: mmap.mmap, size: int) -> tuple[int, int]:
    """Return the size of pages, and the root of what was committed last."""
    (page_size,) = struct.unpack_from("<I", data, 40)
    if page_size not in (1 << bits for bits in range(9, 17)):
        raise ValueError("it does not begin like one")
    metas = []
    for start in (0, page_size):
        magic, version = struct.unpack_from("<II", data, start + _HEADER)
        if magic != MAGIC or version != _OLD:
            raise ValueError("it does not begin like one of the versions that are read")
        root, last, transaction = struct.unpack_from("<QQQ", data, start + 128)
        metas.append((transaction, root, last))
    _, root, last = max(metas)
    if (last + 1) * page_size > size:
        raise ValueError(f"it is cut off: it has {size} of {(last + 1) * page_size} bytes")
    return page_size, root


def _child(data: mmap.mmap, node: int) -> int:
    low, high, top = struct.unpack_from("<HHH", data, node)
    return low | high << 16 | top << 32


def _value(data: mmap.mmap, start: int, node: int, page_size: int, size: int) -> tuple:
    """Return a leaf's key with where its value begins and how long it is."""
    low, high, flags, key_size = struct.unpack_from("<HHHH", data, start + node)
    length, place = low | high << 16, start + node + 8
    if flags & ~_ELSEWHERE or node + 8 + key_size > page_size:
        raise ValueError("it has databases within, or several values of a key")
    key = data[place : place + key_size]
    begin = place + key_size
    if flags & _ELSEWHERE:
        (page,) = struct.unpack_from("<Q", data, begin)
        _, _, kind = struct.unpack_from("<QHH", data, page * page_size)
        if not kind & _OVERFLOW:
            raise ValueError(f"page {page} holds no value")
        begin = page * page_size + _HEADER
    elif begin + length > start + page_size:
        raise ValueError("a value reaches beyond its page")
    if begin + length > size:
        raise ValueError("a value reaches beyond the end")
    return key, begin, length
