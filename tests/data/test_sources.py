"""Folders and zip files of images, good and bad."""

import io
import os
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fpainter.data.finding import image_source
from fpainter.data.sources import ImageFolder, ImageZip
from fpainter.errors import UserError


def png(value: int = 0, side: int = 4) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (side, side), value).save(buffer, "PNG")
    return buffer.getvalue()


def write(root: Path, *names: str) -> Path:
    for value, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(value))
    return root


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def titles(source: ImageFolder | ImageZip) -> list[str]:
    return [source.title(index) for index in range(len(source))]


NAMES = ("b.JPG", "a/z.jpeg", "a.png", "a/b/c.WebP", "d.bmp", "e.tif", "f.TIFF")
IGNORED = (".hidden.png", ".git/x.png", "__MACOSX/a.png", "a/__MACOSX/._a.png", "note.txt", "g.gif")


def test_folder_lists_wanted_files_sorted(tmp_path: Path) -> None:
    source = ImageFolder(write(tmp_path / "mine", *NAMES, *IGNORED))
    assert titles(source) == sorted(NAMES)
    assert source.name == "mine"
    assert source.open(titles(source).index("d.bmp")).getpixel((0, 0)) == NAMES.index("d.bmp")


def test_zip_lists_wanted_files_sorted(tmp_path: Path) -> None:
    members = {name: png(value) for value, name in enumerate((*NAMES, *IGNORED))}
    source = ImageZip(write_zip(tmp_path / "mine.zip", {"empty/": b"", **members}))
    assert titles(source) == sorted(NAMES)
    assert source.name == "mine"
    assert source.open(titles(source).index("d.bmp")).getpixel((0, 0)) == NAMES.index("d.bmp")


def test_pictures_of_runs_are_no_data(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "a.png", "logs/train/one/samples/0000001.png", "logs/b.png")
    run_dir = tmp_path / "logs" / "train" / "one"
    (run_dir / ".hydra").mkdir()
    caplog.set_level("INFO")
    assert titles(ImageFolder(tmp_path)) == ["a.png", "logs/b.png"]
    assert "pictures of a run in logs/train/one are left out" in caplog.text
    assert titles(ImageFolder(run_dir)) == ["samples/0000001.png"]  # asked for by its name


def test_folder_follows_links_but_not_in_circles(tmp_path: Path) -> None:
    root = write(tmp_path / "root", "sub/a.png")
    write(tmp_path / "elsewhere", "b.png")
    (root / "sub" / "up").symlink_to(root, target_is_directory=True)
    (root / "again").symlink_to(root / "sub", target_is_directory=True)
    (root / "other").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "broken.png").symlink_to(tmp_path / "nowhere")
    assert titles(ImageFolder(root)) == ["other/b.png", "sub/a.png"]


def test_folder_fingerprint_changes_with_name_size_and_time(tmp_path: Path) -> None:
    root = write(tmp_path, "a.png", "b.png")
    seen = [ImageFolder(root).fingerprint()]
    assert len(seen[0]) == 64
    assert ImageFolder(root).fingerprint() == seen[0]
    (root / "a.png").rename(root / "c.png")
    seen.append(ImageFolder(root).fingerprint())
    os.utime(root / "b.png", ns=(1, 1))
    seen.append(ImageFolder(root).fingerprint())
    (root / "b.png").write_bytes(png(side=99))
    os.utime(root / "b.png", ns=(1, 1))
    seen.append(ImageFolder(root).fingerprint())
    (root / "note.txt").write_text("not an image")
    assert ImageFolder(root).fingerprint() == seen[-1]
    assert len(set(seen)) == 4


def test_zip_fingerprint_changes_with_content(tmp_path: Path) -> None:
    first = ImageZip(write_zip(tmp_path / "1.zip", {"a.png": png(1)})).fingerprint()
    same = ImageZip(write_zip(tmp_path / "2.zip", {"a.png": png(1)})).fingerprint()
    pixels = ImageZip(write_zip(tmp_path / "3.zip", {"a.png": png(2)})).fingerprint()
    name = ImageZip(write_zip(tmp_path / "4.zip", {"b.png": png(1)})).fingerprint()
    assert first == same
    assert len({first, pixels, name}) == 3


def test_zip_survives_pickling_and_threads(tmp_path: Path) -> None:
    members = {f"{value:03d}.png": png(value) for value in range(100)}
    path = write_zip(tmp_path / "a.zip", members)
    source = pickle.loads(pickle.dumps(ImageZip(path)))
    with ThreadPoolExecutor(8) as pool:
        pixels = list(pool.map(lambda i: np.asarray(source.open(i))[0, 0], range(100)))
    assert pixels == list(range(100))


def test_zip_with_two_members_of_one_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.png", png(1))
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("a.png", png(2))
    source = ImageZip(tmp_path / "a.zip")
    assert [source.open(index).getpixel((0, 0)) for index in range(2)] == [1, 2]


def test_image_source_picks_by_what_the_path_is(tmp_path: Path) -> None:
    assert isinstance(image_source(write(tmp_path / "folder.zip", "a.png")), ImageFolder)
    assert isinstance(image_source(write_zip(tmp_path / "a.zip", {"a.png": png()})), ImageZip)
    assert isinstance(image_source(write_zip(tmp_path / "data", {"a.png": png()})), ImageZip)


def test_missing_path_gives_the_hint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder or file .*nowhere\. Get it there$"):
        image_source(tmp_path / "nowhere", hint="Get it there")
    with pytest.raises(UserError, match=r"nowhere\. Give data\.dir=PATH"):
        image_source(tmp_path / "nowhere")


def test_neither_folder_nor_zip(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    with pytest.raises(UserError, match="neither a folder nor a file"):
        image_source(tmp_path / "a.png")


def test_no_images(tmp_path: Path) -> None:
    write(tmp_path / "folder", *IGNORED)
    with pytest.raises(UserError, match=r"no images in the folder .*webp\)\. Get it there$"):
        image_source(tmp_path / "folder", hint="Get it there")
    with pytest.raises(UserError, match="no images in the zip file"):
        image_source(write_zip(tmp_path / "a.zip", {"a.txt": b"x"}))


@pytest.mark.parametrize("name", ["a.zip", "A.ZIP"])
def test_broken_zip(tmp_path: Path, name: str) -> None:
    whole = write_zip(tmp_path / name, {"a.png": png()}).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=rf"zip file .*{name} is broken") as caught:
        image_source(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"plain text"])
def test_what_is_no_image_raises_without_addresses(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(ValueError, match=r"^(the file is empty|not an image, or damaged.*)$"):
        ImageFolder(tmp_path).open(0)


def test_zip_refuses_members_that_unpack_to_gigabytes(tmp_path: Path) -> None:
    source = ImageZip(write_zip(tmp_path / "a.zip", {"a.png": png()}))
    source._members[0].file_size = 1 << 40
    with pytest.raises(ValueError, match="too large for an image"):
        source.open(0)
