"""Small valid images of every kind that a data set may have."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 20, 27


def noise(channels: int, dtype: type = np.uint8) -> np.ndarray:
    """Return the same smooth picture with some noise at every call, [H W C]."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 200, HEIGHT * WIDTH * channels).reshape(HEIGHT, WIDTH, channels)
    picture = ramp + rng.integers(0, 50, ramp.shape)
    return (picture * (257 if dtype is np.uint16 else 1)).astype(dtype)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the image as a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int, bits: int = 8, colour_type: int = 0) -> bytes:
    """Return a PNG that claims a size and has next to no pixels."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(b"")), _chunk(b"IEND", b"")]
    )


def interlaced_png() -> bytes:
    """Return a grey PNG in the seven passes of Adam7, which Pillow reads but does not write."""
    pixels = noise(1)[:, :, 0]
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
              (1, 0, 2, 1)]  # fmt: skip
    rows = b"".join(
        b"\0" + row.tobytes()
        for top, left, down, right in passes
        for row in pixels[top::down, left::right]
    )
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b"")]
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def all_kinds() -> list[bytes]:
    """Return one valid file of each kind."""
    grey, rgb, rgba = (Image.fromarray(noise(count).squeeze()) for count in (1, 3, 4))
    palette, wide = rgb.quantize(16), Image.fromarray(noise(1, np.uint16)[:, :, 0])
    real = Image.fromarray(noise(1, np.float32)[:, :, 0])
    tags = Image.Exif()
    tags[0x0112], tags[0x010E], tags[0x8769] = 6, "a description", {0x9003: "2026:01:01 00:00:00"}
    exif = tags.tobytes()
    return [
        encoded(rgb, "JPEG"),
        encoded(rgb, "JPEG", progressive=True, exif=exif, comment=b"comment"),
        encoded(grey, "JPEG", restart_marker_rows=1, icc_profile=bytes(200)),
        encoded(rgb.convert("CMYK"), "JPEG"),
        encoded(rgb, "MPO", save_all=True, append_images=[rgb]),
        encoded(grey, "PNG"),
        encoded(rgb, "PNG", exif=exif, icc_profile=bytes(200)),
        encoded(rgba, "PNG"),
        encoded(palette, "PNG", transparency=1),
        encoded(palette, "PNG", bits=4),
        encoded(wide, "PNG"),
        encoded(rgb, "PNG", save_all=True, append_images=[rgb.rotate(90)]),
        interlaced_png(),
        encoded(rgb, "WEBP", exif=exif),
        encoded(rgba, "WEBP", lossless=True),
        encoded(rgba, "WEBP", save_all=True, append_images=[rgba.rotate(90)]),
        encoded(rgb, "BMP"),
        encoded(palette, "BMP"),
        encoded(grey.convert("1"), "BMP"),
        encoded(rgb, "TIFF", exif=exif),
        *(encoded(rgb, "TIFF", compression=name) for name in ("tiff_lzw", "packbits", "jpeg")),
        *(encoded(rgba, "TIFF", compression=name) for name in ("tiff_adobe_deflate", "zstd")),
        encoded(grey.convert("1"), "TIFF", compression="group4"),
        encoded(real, "TIFF"),
        encoded(wide, "TIFF", compression="tiff_lzw"),
        encoded(palette, "GIF"),
    ]
