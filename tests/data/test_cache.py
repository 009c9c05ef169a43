"""The cache on disk: complete or absent, and honest about what it left out."""

import io
import json
import logging
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fpainter.data import cache
from fpainter.data.cache import CachedImages, cache_images, default_cache_dir
from fpainter.data.decode import render
from fpainter.data.sources import ImageFolder
from fpainter.errors import UserError


class Colors:
    """A source of plain pictures: index i is grey level i; `broken` ones raise."""

    name = "plain colors"

    def __init__(self, count: int, broken: dict[int, BaseException] | None = None) -> None:
        self.count = count
        self.broken = broken or {}
        self.opened = 0

    def __len__(self) -> int:
        return self.count

    def fingerprint(self) -> str:
        return f"{self.count:064x}"

    def title(self, index: int) -> str:
        return f"{index:04d}.png"

    def open(self, index: int) -> Image.Image:
        self.opened += 1
        if index in self.broken:
            raise self.broken[index]
        return Image.new("RGB", (10, 8), (index % 256, 0, 0))


def build(source: Colors, directory: Path) -> CachedImages:
    return cache_images(source, (4, 6), 3, directory)


def test_holds_every_image_in_order(tmp_path: Path) -> None:
    # More than one chunk of the builder.
    images = build(Colors(1100), tmp_path / "new" / "caches")
    assert len(images) == 1100
    assert images.shape == (1100, 3, 4, 6)
    assert images.titles == [f"{index:04d}.png" for index in range(1100)]
    assert images.skipped == []
    everything = images.batch(range(1100))
    assert everything.dtype == torch.uint8
    np.testing.assert_array_equal(everything[:, 0, 2, 3], np.arange(1100) % 256)
    assert [path.name for path in (tmp_path / "new" / "caches").iterdir()] == [
        f"plain_colors-{images.fingerprint[:16]}"
    ]


def test_equals_render_of_each_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for index in range(5):
        pixels = rng.integers(0, 256, (20 + index, 31, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{index}.png")
    source = ImageFolder(tmp_path / "in")
    images = cache_images(source, (8, 8), 3, tmp_path / "out")
    for index in range(5):
        expected = render(source.open(index), (8, 8), 3)
        np.testing.assert_array_equal(images.batch([index])[0], expected)


def test_batch_is_a_copy_of_what_was_asked_for(tmp_path: Path) -> None:
    images = build(Colors(10), tmp_path)
    batch = images.batch(torch.tensor([7, 3, 7, -1]))
    assert batch[:, 0, 0, 0].tolist() == [7, 3, 7, 9]
    batch.zero_()
    assert images.batch([7])[0, 0, 0, 0] == 7
    assert images.batch([]).shape == (0, 3, 4, 6)
    with pytest.raises(IndexError):
        images.batch([10])


def test_second_time_nothing_is_decoded(tmp_path: Path) -> None:
    build(Colors(10), tmp_path)
    again = Colors(10)
    assert len(build(again, tmp_path)) == 10
    assert again.opened == 0


def test_key_depends_on_source_size_channels_and_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {
        cache_images(source, size, channels, tmp_path).fingerprint
        for source, size, channels in (
            (Colors(10), (4, 6), 3),
            (Colors(11), (4, 6), 3),
            (Colors(10), (6, 4), 3),
            (Colors(10), (4, 6), 1),
        )
    }
    monkeypatch.setattr(cache, "RENDER_VERSION", "another")
    keys.add(build(Colors(10), tmp_path).fingerprint)
    assert len(keys) == len(list(tmp_path.iterdir())) == 5


def test_changed_folder_gives_another_cache(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "in" / "a.png")
    first = cache_images(ImageFolder(tmp_path / "in"), (4, 4), 1, tmp_path / "out")
    Image.new("L", (4, 4)).save(tmp_path / "in" / "b.png")
    second = cache_images(ImageFolder(tmp_path / "in"), (4, 4), 1, tmp_path / "out")
    assert (len(first), len(second)) == (1, 2)
    assert first.fingerprint != second.fingerprint


def test_pickle_reopens_by_path(tmp_path: Path) -> None:
    images = build(Colors(1000), tmp_path)
    data = pickle.dumps(images)
    assert len(data) < 1000
    assert torch.equal(pickle.loads(data).batch(range(1000)), images.batch(range(1000)))


def test_bad_files_are_skipped_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    (folder / "a-good.jpg").write_bytes(buffer.getvalue())
    (folder / "b-truncated.jpg").write_bytes(buffer.getvalue()[:2000])
    (folder / "c-empty.png").write_bytes(b"")
    (folder / "d-text.jpg").write_text("not an image")
    (folder / "e-good.jpg").write_bytes(buffer.getvalue())
    (folder / "f-bomb.jpg").write_bytes(buffer.getvalue())
    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.WARNING):
        Image.new("L", (80, 80)).save(folder / "f-bomb.jpg")
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
        images = cache_images(ImageFolder(folder), (8, 8), 3, tmp_path / "out")
    assert images.titles == ["a-good.jpg", "e-good.jpg"]
    assert [label[0] for label, _ in images.skipped] == ["b", "c", "d", "f"]
    reasons = [reason for _, reason in images.skipped]
    assert "truncated" in reasons[0]
    assert reasons[1:3] == ["the file is empty", "not an image, or damaged at the start"]
    assert "80×80" in reasons[3]
    assert torch.equal(images.batch([0]), images.batch([1]))
    assert len(caplog.records) == 1
    assert "4 of 6 images could not be read" in caplog.text
    assert "d-text.jpg (not an image" in caplog.text
    assert str(images.folder / "meta.json") in caplog.text


def test_only_the_first_five_reasons_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = build(Colors(10, {index: ValueError("bad") for index in range(7)}), tmp_path)
    assert len(images.skipped) == 7
    assert "0004.png (bad); …" in caplog.text
    assert "0005.png" not in caplog.text
    # Not again each time it is opened.
    caplog.clear()
    build(Colors(10), tmp_path)
    assert not caplog.records


def test_all_images_bad(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none of the images of plain colors .*0000\.png \(bad\)"):
        build(Colors(2, {0: ValueError("bad"), 1: OSError("worse")}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_interrupted_build_leaves_no_cache(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(Colors(600, {550: KeyboardInterrupt()}), tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(build(Colors(600), tmp_path)) == 600


def test_only_old_remains_of_killed_builds_are_removed(tmp_path: Path) -> None:
    old, young = (tmp_path / f".x-{'0' * 16}.{letter * 12}.tmp" for letter in "ab")
    other = tmp_path / ".mine.tmp"
    for folder in (old, young, other):
        folder.mkdir()
        (folder / "images.u8").write_bytes(b"half")
    for path in (old / "images.u8", old, young, other / "images.u8", other):
        os.utime(path, (1, 1))
    build(Colors(3), tmp_path)
    assert not old.exists()
    assert young.exists()
    assert other.exists()


@pytest.mark.parametrize(
    "damage", ["meta", "no meta", "short", "long", "no images", "labels", "other key"]
)
def test_damaged_cache_is_built_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    folder = build(Colors(5), tmp_path).folder
    meta = json.loads((folder / "meta.json").read_text())
    if damage == "meta":
        (folder / "meta.json").write_text('{"shape": [')
    elif damage == "no meta":
        (folder / "meta.json").unlink()
    elif damage in ("short", "long"):
        size = (folder / "images.u8").stat().st_size
        os.truncate(folder / "images.u8", size + (1 if damage == "long" else -1))
    elif damage == "no images":
        (folder / "images.u8").unlink()
    elif damage == "labels":
        (folder / "meta.json").write_text(json.dumps({**meta, "labels": ["only one"]}))
    else:
        (folder / "meta.json").write_text(json.dumps({**meta, "key": "0" * 64}))
    images = build(Colors(5), tmp_path)
    assert images.batch(range(5))[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert "is damaged" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_process_that_comes_second_uses_the_first_ones_cache(tmp_path: Path) -> None:
    class Overtaken(Colors):
        def open(self, index: int) -> Image.Image:
            if self.opened == 0:
                self.opened = 1
                build(Colors(5), tmp_path)
                (folder,) = tmp_path.glob("plain*")
                (folder / "theirs").touch()
            return super().open(index)

    images = build(Overtaken(5), tmp_path)
    assert (images.folder / "theirs").exists()
    assert len(images) == 5
    assert len(list(tmp_path.iterdir())) == 1


def test_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot write .*file/caches.*FPAINTER_CACHE"):
        build(Colors(5), tmp_path / "file" / "caches")


def test_too_little_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"0\.00 GB are free\. Set .* FPAINTER_CACHE"):
        build(Colors(5), tmp_path)


def test_disk_that_fills_up_while_building(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"No space left on device\. Set .* FPAINTER_CACHE"):
        build(Colors(5), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_channels_are_checked_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="channels must be"):
        cache_images(Colors(5), (4, 4), 2, tmp_path)


def test_default_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPAINTER_CACHE", "/a/b")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert default_cache_dir() == Path("/a/b")
    monkeypatch.setenv("FPAINTER_CACHE", "")
    assert default_cache_dir() == Path("/c/fpainter")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert default_cache_dir() == Path("/home/me/.cache/fpainter")


def test_a_file_that_is_cut_while_in_use_gives_a_sentence(tmp_path: Path) -> None:
    """Reading beyond the end of a mapped file would kill the process."""
    images = build(Colors(1000), tmp_path)
    path = images.folder / "images.u8"
    os.truncate(path, 10)
    with pytest.raises(UserError, match="has 10 bytes, not 72000"):
        images.batch([999])
    whole = build(Colors(1000), tmp_path)  # built anew
    shutil.rmtree(whole.folder)
    assert int(whole.batch([7]).amax()) == 7
