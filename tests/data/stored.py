"""The same images in every kind of file that is read."""

import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fpainter.data.formats.tfrecords import _masked_crc


def images(number: int, height: int = 10, width: int = 8, channels: int = 3) -> np.ndarray:
    """Return noise, uint8 [N H W C]."""
    shape = (number, height, width, channels)
    return np.random.default_rng(3).integers(0, 256, shape, np.uint8)


def png(pixels: np.ndarray) -> bytes:
    """Return an image uint8 [H W C] or [H W] as a file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def numbers_of(pixels: np.ndarray) -> list[int]:
    """Return a label for each image, in 0..2."""
    return [index % 3 for index in range(len(pixels))]


def folder(root: Path, pixels: np.ndarray) -> Path:
    path = root / "folder"
    path.mkdir()
    for index, image in enumerate(pixels):
        (path / f"{index:04d}.png").write_bytes(png(image))
    return path


def zipped(root: Path, pixels: np.ndarray) -> Path:
    path = root / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        names = [f"00000/img{index:08d}.png" for index in range(len(pixels))]
        for name, image in zip(names, pixels, strict=True):
            archive.writestr(name, png(image))
        pairs = [list(pair) for pair in zip(names, numbers_of(pixels), strict=True)]
        archive.writestr("dataset.json", json.dumps({"labels": pairs}))
    return path


def npy(root: Path, pixels: np.ndarray) -> Path:
    np.save(root / "images.npy", pixels)
    return root / "images.npy"


def npy_channels_first(root: Path, pixels: np.ndarray) -> Path:
    np.save(root / "first.npy", np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    return root / "first.npy"


def npz(root: Path, pixels: np.ndarray) -> Path:
    labels = np.array(numbers_of(pixels))
    np.savez_compressed(root / "images.npz", images=pixels, labels=labels, seed=np.arange(2))
    return root / "images.npz"


def npz_stored(root: Path, pixels: np.ndarray) -> Path:
    labels = np.array(numbers_of(pixels))[:, None]
    np.savez(root / "stored.npz", train_images=pixels, train_labels=labels)
    return root / "stored.npz"


def hdf5(root: Path, pixels: np.ndarray) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(root / "images.h5", "w") as file:
        chunks = (min(4, len(pixels)), *pixels.shape[1:])
        file.create_dataset("train/images", data=pixels, chunks=chunks, compression="gzip")
        file["train/labels"] = np.array(numbers_of(pixels))
    return root / "images.h5"


def write_lmdb(path: Path, entries: dict[bytes, bytes], **options: Any) -> Path:
    lmdb = pytest.importorskip("lmdb")
    with (
        lmdb.open(str(path), map_size=1 << 24, **options) as environment,
        environment.begin(write=True) as transaction,
    ):
        for key, value in entries.items():
            transaction.put(key, value)
    return path


def lmdb(root: Path, pixels: np.ndarray) -> Path:
    entries = {f"{index:08d}".encode(): png(image) for index, image in enumerate(pixels)}
    return write_lmdb(root / "database", entries | {b"length": b"7"})


def framed(content: bytes) -> bytes:
    """Return a record of a TFRecord file; the checksum of its content is not read."""
    length = struct.pack("<Q", len(content))
    return length + struct.pack("<I", _masked_crc(length)) + content + bytes(4)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = []
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def example(**features: bytes | list[int]) -> bytes:
    """Return an `Example` of TensorFlow's."""
    entries = []
    for name, content in features.items():
        if isinstance(content, bytes):
            feature = _field(1, _field(1, content))
        else:
            feature = _field(3, _field(1, b"".join(map(_varint, content))))
        entries.append(_field(1, _field(1, name.encode()) + _field(2, feature)))
    return _field(1, b"".join(entries))


def tfrecords(root: Path, pixels: np.ndarray) -> Path:
    path = root / "records"
    path.mkdir()
    for level, step in ((3, 2), (4, 1)):  # as ProGAN's: the last one has all pixels
        records = []
        for image in pixels[:, ::step, ::step].transpose(0, 3, 1, 2):
            records.append(framed(example(shape=list(image.shape), data=image.tobytes())))
        (path / f"x-r{level:02d}.tfrecords").write_bytes(b"".join(records))
    return path


def tfrecord_encoded(root: Path, pixels: np.ndarray) -> Path:
    path = root / "x.tfrecord-00000-of-00001"
    for_each: list[dict[str, bytes | list[int]]] = [
        {"height": [9], "image/encoded": png(image)} for image in pixels
    ]
    path.write_bytes(b"".join(framed(example(**features)) for features in for_each))
    return path


def tar(root: Path, pixels: np.ndarray) -> Path:
    with tarfile.open(root / "images.tar", "w") as file:
        for index, image in enumerate(pixels):
            info = tarfile.TarInfo(f"{index:04d}.png")
            data = png(image)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return root / "images.tar"


FORMATS: dict[str, Callable[[Path, np.ndarray], Path]] = {
    write.__name__: write
    for write in (
        folder, zipped, npy, npy_channels_first, npz, npz_stored, hdf5, lmdb, tfrecords,
        tfrecord_encoded,
    )
}  # fmt: skip
