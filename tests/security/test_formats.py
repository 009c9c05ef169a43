"""Files of many images made to do harm: refused in a sentence, at once, with little memory."""

import importlib
import io
import os
import pickle
import random
import resource
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fpainter.data.cache import cache_images
from fpainter.data.finding import image_source
from fpainter.data.formats.tfrecords import _masked_crc
from fpainter.data.labels import classes_of
from fpainter.errors import UserError
from tests.data import stored
from tests.security.confinement import confined
from tests.security.mutations import mutate

try:  # here, because it starts a program when it is imported
    h5py: Any = importlib.import_module("h5py")
except ModuleNotFoundError:
    h5py = None

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")


def npy_header(description: str, version: bytes = b"\1\0") -> bytes:
    """Return the beginning of a `.npy` file."""
    text = description.encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text


def describing(shape: str, kind: str = "|u1") -> str:
    return f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"


def pickled(folder: Path) -> bytes:
    """Return an array of objects that touches a file when it is unpickled."""

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {folder / 'sprung'}",)

    array = np.empty((2, 2, 2), object)
    array[:] = Trap()
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


ARRAYS = {
    "huge": npy_header(describing("(1000000000, 1000, 1000, 3)")),
    "huge picture": npy_header(describing("(1, 1000000, 1000000, 3)")),
    "negative": npy_header(describing("(-3, 4, 4)")),
    "enormous": npy_header(describing("(9" + "9" * 40 + ", 4, 4)")),
    "program": npy_header("__import__('os').system('touch sprung')"),
    "objects": npy_header(describing("(2, 2, 2)", "|O")) + pickle.dumps([]),
    "nested": npy_header("[" * 100 + "]" * 17),
    "version": npy_header(describing("(2, 2, 2)"), b"\3\0"),
    "record": npy_header("{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (2, 2, 2)}"),
}


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def arrays(folder: Path) -> dict[str, Any]:
    """Read hostile array files; return those that were not refused."""
    accepted = []
    for name, data in {**ARRAYS, "pickled": pickled(folder)}.items():
        (folder / "x.npy").write_bytes(data)
        zipped(folder / "x.npz", {"x.npy": data})
        zipped(folder / "xz.npz", {"x.npy": data}, zipfile.ZIP_LZMA)
        good = stored.images(2)
        np.savez(folder / "good.npz", images=good)
        labelled = zipped(
            folder / "labels.npz",
            {
                "images.npy": zipfile.ZipFile(folder / "good.npz").read("images.npy"),
                "labels.npy": data,
            },
        )
        for path in ("x.npy", "x.npz", "xz.npz"):
            accepted += not_refused(lambda path=path: image_source(folder / path), name)  # type: ignore[misc]
        accepted += not_refused(lambda path=labelled: classes_of(image_source(path)), name)  # type: ignore[misc]
    # Forty megabytes of zeros, which the header does not speak of.
    claims = npy_header(describing("(2, 4, 4)")) + bytes(40 << 20)
    accepted += not_refused(
        lambda: image_source(zipped(folder / "bomb.npz", {"x.npy": claims})).open(0), "bomb"
    )
    return {"accepted": accepted}


def not_refused(read: Callable[[], Any], name: str) -> list[str]:
    start = time.monotonic()
    try:
        read()
    except UserError as error:
        slow = time.monotonic() - start > 2
        return [f"{name}: {error}"] if slow or not str(error).isprintable() else []
    return [name]


def records(folder: Path) -> dict[str, Any]:
    """Read hostile TFRecord files and databases; return those that were not refused."""
    accepted = []
    for name, length in {"giant": 1 << 62, "most": (1 << 64) - 1, "long": 1 << 40}.items():
        header = struct.pack("<Q", length)
        for checksum in (struct.pack("<I", _masked_crc(header)), bytes(4)):
            (folder / "x.tfrecords").write_bytes(header + checksum + bytes(99))
            accepted += not_refused(lambda: image_source(folder / "x.tfrecords"), name)
    for name, target in {"zero": "/dev/zero", "itself": "data.mdb", "text": "/etc/passwd"}.items():
        path = folder / name
        path.mkdir()
        (path / "data.mdb").symlink_to(target)
        accepted += not_refused(lambda path=path: image_source(path), name)  # type: ignore[misc]
    (folder / "fifo").mkdir()
    os.mkfifo(folder / "fifo" / "data.mdb")
    os.mkfifo(folder / "fifo.npy")
    for name in ("fifo", "fifo.npy"):
        accepted += not_refused(lambda name=name: image_source(folder / name), name)  # type: ignore[misc]
    return {"accepted": accepted}


def hdf5(folder: Path) -> dict[str, Any]:
    """Read hostile HDF5 files; return those that were not refused."""
    accepted = []
    secret = folder / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["images"] = stored.images(2)
    (folder / "raw").write_bytes(bytes(1000))

    def trap(file: Any, name: str) -> None:
        if name == "external link":
            file["images"] = h5py.ExternalLink(str(secret), "images")
        elif name == "external group":
            file["group"] = h5py.ExternalLink(str(secret), "/")
        elif name == "external storage":
            where = [(str(folder / "raw"), 0, 1000)]
            file.create_dataset("images", (2, 4, 4), np.uint8, external=where)
        elif name == "virtual":
            layout = h5py.VirtualLayout((2, 10, 8, 3), np.uint8)
            layout[:] = h5py.VirtualSource(str(secret), "images", (2, 10, 8, 3))
            file.create_virtual_dataset("images", layout)
        elif name == "unwritten":
            file.create_dataset("images", (1 << 40, 64, 64, 3), np.uint8, chunks=(1, 64, 64, 3))
        elif name == "chunks":
            shape = (4, 16384, 16384)
            file.create_dataset("images", shape, np.uint8, chunks=shape, compression="gzip")
        elif name == "loop":
            file["a/b"] = h5py.SoftLink("/a")
            file["a/c"] = file["a"]

    names = ("external link", "external group", "external storage", "virtual", "unwritten",
             "chunks", "loop")  # fmt: skip
    for name in names:
        with h5py.File(folder / "x.h5", "w") as file:
            trap(file, name)
        for key in (None, "images", "group/images"):
            accepted += not_refused(
                lambda key=key: image_source(folder / "x.h5", key=key).open(0),  # type: ignore[misc]
                f"{name} {key}",
            )
    return {"accepted": accepted}


def try_all(folder: Path) -> dict[str, Any]:
    """Do all of the above in one process; return what was not refused, and whether it ran."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    accepted = []
    for task in (arrays, records, hdf5):
        part = folder / task.__name__
        part.mkdir()
        if task is not hdf5 or h5py is not None:
            accepted += task(part)["accepted"]
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "accepted": accepted,
        "sprung": [path.name for path in folder.rglob("sprung")],
        "memory": (after - before) * 1024,
    }


def test_nothing_hostile_is_accepted(tmp_path: Path) -> None:
    found = confined(try_all, tmp_path, seconds=100)
    assert found.pop("memory") < 300 << 20
    # A zip that unpacks to forty megabytes is large and no more.
    assert found == {"accepted": ["bomb"], "sprung": [], "harm": []}


def cache_mutants(folder: Path, name: str, first: int, number: int) -> dict[str, Any]:
    """Read damaged files of one format; return how many gave images, and what else was raised."""
    pixels = stored.images(6)
    path = stored.FORMATS[name](folder, pixels)
    file = max(path.iterdir(), key=lambda p: p.stat().st_size) if path.is_dir() else path
    whole, read, strange = file.read_bytes(), 0, []
    for seed in range(first, first + number):
        file.write_bytes(mutate(random.Random(seed), whole, whole[::-1]))
        try:
            source = image_source(path)
            cached = cache_images(source, (8, 8), 3, folder / "cache")
            read += len(cached) > 0
            getattr(source, "classes", lambda: None)()
        except UserError as error:
            if not str(error).isprintable():
                strange.append(f"{seed}: {error}")
        except Exception as error:
            strange.append(f"{seed}: {error!r}")
    return {"read": read, "strange": strange}


@pytest.mark.parametrize("number", [60, pytest.param(3000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["npy", "npz", "npz_stored", "lmdb", "tfrecords", "hdf5"])
def test_damaged_files_end_in_a_sentence(name: str, number: int, tmp_path: Path) -> None:
    for library in {"lmdb": ["lmdb"], "hdf5": ["h5py"]}.get(name, []):
        pytest.importorskip(library)
    found = confined(cache_mutants, tmp_path, name, 0, number, seconds=300)
    assert found["strange"] == []
    assert found["harm"] == []
