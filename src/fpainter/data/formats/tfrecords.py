"""TFRecord files of images, as ProGAN's and StyleGAN's tools and TensorFlow's data sets write them.

Source: the framing of ``tensorflow/core/lib/io/record_writer.h`` and the message ``Example`` of
``tensorflow/core/example/example.proto``.
"""

import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from fpainter.data.formats.arrays import CHANNELS, picture
from fpainter.data.formats.records import Records, of_resolution, record_files
from fpainter.data.sources import open_image, printable
from fpainter.errors import UserError

# As ffhq-r08.tfrecords, whose images have 2⁸ pixels a side.
_SIZED = re.compile(r".+-r(\d\d)\.tfrecords?", re.IGNORECASE)
_ENCODED = ("image/encoded", "image", "image_raw", "jpg", "png", "data")


class TFRecordImages(Records):
    """The pictures of TFRecord files.

    Each record is an `Example` with ProGAN's `shape` [C H W] and `data`, uint8, or with an encoded
    image called `image/encoded` or `image`. Lengths are checked before they are believed; the
    checksums of contents are not.

    Args:
        path: a file, or a folder of such files, which are read in the order of their names.
        resolution: which one, where files are called `…-r06.tfrecords` for 2⁶ pixels; None for
            the largest.

    Raises:
        UserError: if a file is damaged, or there is none in this resolution.
    """

    def __init__(self, path: Path, resolution: int | None = None) -> None:
        files = record_files(path) if path.is_dir() else [path]
        sizes = {file: match and 2 ** int(match[1]) for file in files if (match := _named(file))}
        if resolution is not None or (sizes and len(sizes) == len(files)):
            wanted = of_resolution(sizes.values(), resolution, path)
            files = [file for file in files if sizes.get(file) == wanted]
        places = (
            (number, start, size)
            for number, file in enumerate(files)
            for start, size in _framed(file)
        )
        super().__init__(files, path.resolve().stem, places)

    def title(self, index: int) -> str:
        """Return the name of the picture's file and its place there."""
        number, start, _ = self._places[3 * index : 3 * index + 3]
        return f"{printable(self.paths[number].name)} at byte {start}"

    def open(self, index: int) -> Image.Image:
        """Return picture `index`; see `ImageSource.open`."""
        features = _features(memoryview(self.record(index)))
        shape, data = features.get("shape"), features.get("data")
        if isinstance(shape, list) and isinstance(data, bytes):
            channels = shape[0] if len(shape) == 3 else None
            if channels not in CHANNELS or math.prod(shape) != len(data):
                raise ValueError(f"{len(data)} bytes are no uint8 image of the shape {shape}")
            return picture(np.frombuffer(data, np.uint8).reshape(shape).transpose(1, 2, 0))
        for name in _ENCODED:
            found = features.get(name)
            if isinstance(found, bytes):
                return open_image(found)
        raise ValueError(f"has no image but {printable(', '.join(features)) or 'nothing'}")


def _named(file: Path) -> re.Match[str] | None:
    return _SIZED.fullmatch(file.name)


def _framed(path: Path) -> Iterator[tuple[int, int]]:
    """Yield where each record begins and how long it is.

    Raises:
        UserError: if the file is cut off, or a length is not what its checksum says.
    """
    size, position = path.stat().st_size, 0
    with path.open("rb") as file:
        while position < size:
            file.seek(position)
            header = file.read(12)
            if position == 0 and header[:2] == b"\x1f\x8b":
                raise UserError(f"{path} is compressed; unpack it with gunzip first")
            (length,) = struct.unpack("<Q", header[:8].ljust(8, b"\0"))
            if len(header) < 12 or header[8:] != struct.pack("<I", _masked_crc(header[:8])):
                raise UserError(f"{path} is no TFRecord file, or damaged at byte {position}")
            if position + 16 + length > size:
                raise UserError(f"{path} is cut off within the record at byte {position}")
            yield position + 12, length
            position += 16 + length


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


_TABLE = _crc_table()


def _masked_crc(data: bytes) -> int:
    """Return the CRC-32C of a few bytes, rotated and shifted as TFRecords have it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _features(example: memoryview) -> dict[str, bytes | list[int]]:
    """Return the features of an `Example` that are numbers or one run of bytes."""
    found: dict[str, bytes | list[int]] = {}
    for features in _parts(example, 1):
        for entry in _parts(features, 1):
            name = b"".join(map(bytes, _parts(entry, 1))).decode("utf-8", "replace")
            for feature in _parts(entry, 2):
                for texts in _parts(feature, 1):
                    found.update((name, bytes(text)) for text in [*_parts(texts, 1)][:1])
                for numbers in _parts(feature, 3):
                    found[name] = _numbers(numbers)
    return found


def _numbers(message: memoryview) -> list[int]:
    """Return the numbers of an `Int64List`, packed or not."""
    numbers: list[int] = []
    for number, content in _fields(message):
        if number != 1:
            continue
        position = 0
        while isinstance(content, memoryview) and position < len(content) and len(numbers) < 16:
            value, position = _varint(content, position)
            numbers.append(value)
        if isinstance(content, int):
            numbers.append(content)
    return numbers


def _parts(message: memoryview, number: int) -> Iterator[memoryview]:
    """Yield the parts of a message that have a number and a length."""
    for each, content in _fields(message):
        if each == number and isinstance(content, memoryview):
            yield content


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number and the content of each field of a protocol buffer."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == 0:
            value, position = _varint(message, position)
            yield tag >> 3, value
            continue
        if kind == 2:
            length, position = _varint(message, position)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError("the record is no Example")
        if position + length > len(message):
            raise ValueError("a field of the record reaches beyond its end")
        yield tag >> 3, message[position : position + length]
        position += length


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise ValueError("the record ends within a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number of the record has no end")
