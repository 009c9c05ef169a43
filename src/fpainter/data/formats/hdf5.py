"""HDF5 files with an array of images."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from fpainter.data.formats.arrays import ArrayImages, Stored, damage, pick
from fpainter.data.libraries import library
from fpainter.data.sources import MAX_BYTES
from fpainter.errors import UserError

_CACHE = 64 << 20  # bytes of unpacked chunks that wait for the next image of the same chunk
_MOST_RATIO = 5000  # an array that claims more bytes for each of the file has not been written


class HDF5Images(ArrayImages):
    """The pictures of an array of an HDF5 file.

    Only what lies in the file itself is seen: links of any kind but hard ones, arrays kept in other
    files and virtual ones are left out.

    Args:
        path: the file.
        key: which array, such as `train/images`; None for the only one that fits. Labels are
            `labels` in the same group, or `train_labels` beside `train_images`.

    Raises:
        UserError: if h5py is not installed, or the file is damaged or holds no such array.
    """

    def __init__(self, path: Path, key: str | None = None) -> None:
        self._h5py = library("h5py", "fpainter[hdf5]", f"data.dir={path}")
        self._found: dict[str, Stored] = {}
        with damage(path):
            self._file = self._h5py.File(path, "r", rdcc_nbytes=_CACHE)
            self._list(self._file, "", set())
        chosen = pick(self._found, key, path)
        super().__init__(path, chosen, self._found[chosen])
        array = self._file[chosen]
        if math.prod(array.chunks or (1,)) > MAX_BYTES:
            raise UserError(f"{path} has chunks {array.chunks}, too large to read images from")
        if math.prod(self.shape) > _MOST_RATIO * array.id.get_storage_size():
            raise UserError(f"{path} has no pixels for most of its {len(self)} images")

    def __reduce__(self) -> tuple[Any, ...]:
        return HDF5Images, (self.path, self.key)

    def pixels(self, index: int) -> np.ndarray:
        """Return one entry of the array, uint8 [H W], [H W C] or [C H W]."""
        return np.asarray(self._file[self.key][index])

    def labels(self) -> np.ndarray | None:
        """Return the labels in the same group as the images; None for none."""
        name = next((name for name in self.label_names() if name in self._found), None)
        if name is None:
            return None
        if math.prod(self._found[name].shape) > len(self):
            return np.empty(0)
        return np.asarray(self._file[name])

    def _list(self, group: Any, prefix: str, seen: set[Any]) -> None:
        """Collect the arrays of a group and of those below it, each group once."""
        place = self._h5py.h5o.get_info(group.id).addr
        if place in seen:
            return
        seen.add(place)
        for name in group:
            if not isinstance(group.get(name, getlink=True), self._h5py.HardLink):
                continue
            entry = group[name]
            if isinstance(entry, self._h5py.Group):
                self._list(entry, f"{prefix}{name}/", seen)
                continue
            inside = isinstance(entry, self._h5py.Dataset) and not entry.external
            if inside and not entry.is_virtual and entry.shape is not None:
                self._found[prefix + name] = Stored(entry.shape, entry.dtype)
