"""Zip files and folders made to do harm: nothing gets out, nothing hangs, messages stay clean."""

import logging
import os
import socket
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

from fpainter.data.cache import CachedImages, cache_images
from fpainter.data.finding import image_source
from fpainter.data.sources import ImageZip
from fpainter.errors import UserError
from tests.security.pictures import all_kinds

GOOD = all_kinds()[5]


def write_zip(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def cache(path: Path) -> CachedImages:
    """Cache the images of a folder or zip file beside it."""
    return cache_images(image_source(path), (8, 8), 3, path.parent / "cache")


HIDDEN = ["../../x.png", "a/../../b.png", "..\\..\\x.png"]  # as all that begins with a dot
NAMES = [*HIDDEN, "/etc/x.png", "C:\\x.png", "\\\\server\\x.png", "~/x.png",
         "a" * 300 + ".png", "con.png"]  # fmt: skip


def test_members_stay_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "inner" / "deep"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    images = cache(write_zip(inner / "a.zip", dict.fromkeys(NAMES, GOOD)))
    assert set(images.titles) == set(NAMES) - set(HIDDEN)
    assert images.skipped == []
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    folder = images.folder.relative_to(tmp_path)
    expected = {f"{folder}/images.u8", f"{folder}/meta.json", "inner/deep/a.zip"}
    assert written == expected


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_names_cannot_forge_lines_of_a_log(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["a\nfpainter: all is well\n.png", "b\x1b[2J\r.png", "c\u202egnp.png", "é.png"]
    members = dict.fromkeys(names, b"no image")
    if kind == "zip":
        path = write_zip(tmp_path / "a.zip", {"good.png": GOOD, **members})
    else:
        path = tmp_path / "a"
        path.mkdir()
        for name, data in {"good.png": GOOD, **members}.items():
            (path / name).write_bytes(data)
    with caplog.at_level(logging.WARNING):
        images = cache(path)
    assert len(images.skipped) == 4
    assert all(record.getMessage().isprintable() for record in caplog.records)
    assert "a\\nfpainter: all is well\\n.png" in caplog.text
    assert "é.png" in caplog.text


def test_names_with_nul_end_there(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"good.png": GOOD, "b__.png": GOOD})
    path.write_bytes(path.read_bytes().replace(b"b__.png", b"b\0_.png"))
    assert [ImageZip(path).title(index) for index in range(len(ImageZip(path)))] == ["good.png"]


def test_bytes_of_file_names_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = os.fsencode(tmp_path / "in") + b"/\xff.png"
    try:
        Path(os.fsdecode(path)).write_bytes(GOOD)
    except OSError:
        pytest.skip("this file system has text for names only")
    images = cache(tmp_path / "in")
    assert images.titles == ["\\udcff.png"]


@pytest.mark.parametrize("number", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_very_many_empty_members(number: int, tmp_path: Path) -> None:
    members = {f"{index}.png": b"" for index in range(number)}
    images = cache(write_zip(tmp_path / "a.zip", {"good.png": GOOD, **members}))
    assert (len(images), len(images.skipped)) == (1, number)
    assert {reason for _, reason in images.skipped} == {"the file is empty"}


def test_members_that_are_no_images(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    nested = write_zip(tmp_path / "b.zip", {"x.png": GOOD}).read_bytes()
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("good.png", GOOD)
        file.writestr("nested.png", nested)
        file.writestr("inner.zip", nested)
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
    images = cache(path)
    assert images.titles == ["good.png"]
    assert dict(images.skipped) == dict.fromkeys(
        ("link.png", "nested.png"), "not an image, or damaged at the start"
    )


def change(path: Path, offset: int, value: bytes, local_offset: int | None = None) -> None:
    """Change a field of the last entry of a zip's directory, and of its local header."""
    data = bytearray(path.read_bytes())
    entry = data.rfind(b"PK\x01\x02")
    data[entry + offset : entry + offset + len(value)] = value
    if local_offset is not None:
        (header,) = struct.unpack_from("<I", data, entry + 42)
        data[header + local_offset : header + local_offset + len(value)] = value
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("offset", "local_offset", "value", "words"),
    [
        (8, 6, b"\1\0", "encrypted"),
        (16, 14, b"1234", "CRC"),
        (10, 8, b"\x63\0", "compression method"),
        (10, 8, b"\x0c\0", "compressed with bzip2"),
        (10, 8, b"\x0e\0", "compressed with lzma"),
        (24, 22, b"\xff\xff\xff\x7f", "too large for an image"),
        (42, None, b"\xf0\xff\xff\x7f", ""),
    ],
    ids=["encrypted", "crc", "unknown", "bzip2", "lzma", "unpacked", "position"],
)
def test_members_that_cannot_be_read(
    offset: int, local_offset: int | None, value: bytes, words: str, tmp_path: Path
) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.png": GOOD, "b.png": GOOD})
    change(path, offset, value, local_offset)
    images = cache(path)
    assert images.titles == ["a.png"]
    assert words in images.skipped[0][1]
    assert images.skipped[0][1].isprintable()


def test_members_that_unpack_to_more_than_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_zip(tmp_path / "a.zip", {"b.png": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    change(path, 24, b"\x40\0\0\0")
    largest = 0
    unpack = zipfile.ZipExtFile._read1  # type: ignore[attr-defined]

    def watch(self: zipfile.ZipExtFile, n: int) -> bytes:
        nonlocal largest
        largest = max(largest, n)
        return unpack(self, n)

    monkeypatch.setattr(zipfile.ZipExtFile, "_read1", watch)
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        ImageZip(path).open(0)
    assert largest <= 64


def test_members_that_share_their_bytes(tmp_path: Path) -> None:
    """A quoted zip bomb: thousands of names for one member of a megabyte."""
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packed.compress(bytes(1 << 20)) + packed.flush()
    sizes = struct.pack("<III", zlib.crc32(bytes(1 << 20)), len(data), 1 << 20)
    common = struct.pack("<HHHHH", 20, 0, 8, 0, 33) + sizes + struct.pack("<HH", 5, 0)
    name = b"x.png"
    local = b"PK\x03\x04" + common + name + data
    entry = b"PK\x01\x02\x14\x00" + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    directory = entry * 2000
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 2000, 2000, len(directory), len(local), 0)
    (tmp_path / "a.zip").write_bytes(local + directory + end)
    with pytest.raises(UserError, match="its members overlap"):
        image_source(tmp_path / "a.zip")


def test_links_and_what_is_no_file(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "b.png").write_bytes(GOOD)
    root = tmp_path / "in"
    root.mkdir()
    (root / "a.png").write_bytes(GOOD)
    (root / "self.png").symlink_to(root / "self.png")
    (root / "loop").symlink_to(root / "back")
    (root / "back").symlink_to(root / "loop")
    (root / "zero.png").symlink_to("/dev/zero")
    (root / "folder.png").mkdir()
    (root / "out").symlink_to(outside)
    os.mkfifo(root / "fifo.png")
    (root / "to_fifo.png").symlink_to(root / "fifo.png")
    with socket.socket(socket.AF_UNIX) as listener, pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)  # the names of sockets must be short
        listener.bind("socket.png")
        images = cache(root)
    assert images.titles == ["a.png", "out/b.png"]
    assert images.skipped == []


@pytest.mark.parametrize("name", ["a.zip", "a"])
def test_a_fifo_is_no_zip_file(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match="neither a folder nor a file"):
        image_source(tmp_path / name)


def test_enormous_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(GOOD)
    with (tmp_path / "in" / "b.png").open("wb") as file:
        file.truncate(1 << 40)  # takes no space on the disk
    images = cache(tmp_path / "in")
    assert "too large for an image" in dict(images.skipped)["b.png"]


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="the superuser may read everything"
)
def test_files_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "in" / name).write_bytes(GOOD)
    (tmp_path / "in" / "b.png").chmod(0)
    images = cache(tmp_path / "in")
    assert "Permission denied" in dict(images.skipped)["b.png"]
