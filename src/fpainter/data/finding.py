"""What ``data.dir`` names: a folder or a file, recognised by what it is."""

import os
import pkgutil
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from fpainter.data.formats import lmdb, records
from fpainter.data.sources import SUFFIXES, ImageSource
from fpainter.errors import UserError

_ADVICE = (
    "Give data.dir=PATH, a folder or a zip file of images, or a .npy, .npz, HDF5, LMDB or TFRecord "
    "file"
)


class Format(NamedTuple):
    """A way to keep images.

    Attributes:
        what: it is called.
        source: where the class is that reads it; not imported here, because some bring libraries.
        options: of `image_source` that it takes.
    """

    what: str
    source: str
    options: tuple[str, ...] = ()


FOLDER = Format("folder", "fpainter.data.sources:ImageFolder")
ZIP = Format("zip file", "fpainter.data.sources:ImageZip")
ARRAY = Format("array file", "fpainter.data.formats.arrays:ArrayFile", ("key",))
HDF5 = Format("HDF5 file", "fpainter.data.formats.hdf5:HDF5Images", ("key",))
LMDB = Format("LMDB database", "fpainter.data.formats.lmdb:LMDBImages", ("resolution",))
TFRECORDS = Format(
    "TFRecord file", "fpainter.data.formats.tfrecords:TFRecordImages", ("resolution",)
)
_SUFFIXES = {
    ".zip": ZIP, ".npy": ARRAY, ".npz": ARRAY, ".mdb": LMDB,
    ".h5": HDF5, ".hdf5": HDF5, ".hdf": HDF5,
}  # fmt: skip


def find_images(dir: str | os.PathLike[str] | None, hint: str | None = None) -> tuple[Format, Path]:
    """Find what ``data.dir`` names, without reading more of it than its beginning.

    Args:
        dir: folder or file; `~` is the home folder; None is refused with the hint.
        hint: one sentence on where to get the data, added to the message when there is none.

    Returns:
        how the images are kept, and where.

    Raises:
        UserError: if there is nothing, or something else.
    """
    if dir is None:
        raise UserError(f"no images to train on. {_ADVICE}{f'. {hint}' if hint else ''}")
    path = Path(dir).expanduser()
    if path.is_dir():
        if os.path.lexists(path / lmdb.FILE):
            return LMDB, path
        return (TFRECORDS if records.record_files(path) else FOLDER), path
    if not path.exists():
        raise UserError(f"there is no folder or file {path}. {hint or _ADVICE}")
    found = _format_of(path) if path.is_file() else None
    if found is None:
        raise UserError(f"{path} is neither a folder nor a file of images that is read. {_ADVICE}")
    return found, path


def _format_of(path: Path) -> Format | None:
    """Return how a file keeps its images: by how it begins, else by its name."""
    named = _SUFFIXES.get(path.suffix.lower())
    with path.open("rb") as file:
        start = file.read(24)
    if start.startswith(b"\x93NUMPY"):
        return ARRAY
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return HDF5
    if int.from_bytes(start[16:20], "little") == lmdb.MAGIC:
        return LMDB
    if named is None and records.NAME.fullmatch(path.name):
        return TFRECORDS
    return named or (ZIP if zipfile.is_zipfile(path) else None)


def image_source(
    dir: str | os.PathLike[str] | None, hint: str | None = None, **options: Any
) -> ImageSource:
    """Open a folder or file of images.

    Args:
        dir: as for `find_images`.
        hint: as for `find_images`.
        **options: ``key``, which array of an array or HDF5 file; ``resolution``, which one of an
            LMDB database or of TFRecord files that have several. None is not given.

    Returns:
        a source with at least one image.

    Raises:
        UserError: if there is none, or something else, a broken one, one without images or one
            that does not take an option.
        OSError: if a folder cannot be read.
    """
    kind, path = find_images(dir, hint)
    given = {name: value for name, value in options.items() if value is not None}
    for name in given.keys() - {*kind.options}:
        raise UserError(
            f"data.{name}={given[name]}: {path} is a {kind.what}, which takes no {name}"
        )
    source: ImageSource = pkgutil.resolve_name(kind.source)(path, **given)
    if not len(source):
        suffixes = " ".join(sorted(suffix[1:] for suffix in SUFFIXES))
        looked = f"no images in the {kind.what} {path} (looked for {suffixes})"
        raise UserError(f"{looked}. {hint or _ADVICE}")
    return source
