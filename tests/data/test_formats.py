"""Every kind of file gives the same images and labels, and says what is wrong in a sentence."""

import pickle
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fpainter.data.cache import cache_images
from fpainter.data.datamodule import ImageDataModule
from fpainter.data.finding import image_source
from fpainter.data.formats.lmdb import LMDBImages
from fpainter.data.streaming.datamodule import StreamDataModule
from fpainter.errors import UserError
from tests.data import stored
from tests.data.stored import FORMATS

SEVERAL = {"npz_stored", "zipped", "npz", "hdf5"}  # that have labels


@pytest.mark.parametrize("size", [(10, 8), (6, 6)])
@pytest.mark.parametrize("name", FORMATS)
def test_all_formats_give_the_same_images(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    pixels = stored.images(9)
    path = FORMATS[name](tmp_path, pixels)
    cached = cache_images(image_source(path), size, 3, tmp_path / "cache")
    assert cached.skipped == []
    found = cached.batch(range(9))
    if size == (10, 8):
        assert torch.equal(found, torch.from_numpy(pixels).movedim(-1, 1))
    again = tmp_path / "again"
    again.mkdir()
    plain = image_source(stored.folder(again, pixels))
    assert torch.equal(found, cache_images(plain, size, 3, tmp_path / "cache").batch(range(9)))


def test_streams_give_the_same_images(tmp_path: Path) -> None:
    pixels = stored.images(9)
    shards = str(stored.tar(tmp_path, pixels))
    data = StreamDataModule.from_shards([10, 8], shards, cache_dir=str(tmp_path / "cache"))
    assert torch.equal(data.images.batch(range(9)), torch.from_numpy(pixels).movedim(-1, 1))


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("write", [stored.npy, stored.npy_channels_first, stored.tfrecords])
def test_grey_and_transparent(
    write: Callable[[Path, np.ndarray], Path], channels: int, tmp_path: Path
) -> None:
    pixels = stored.images(3, channels=channels)
    cached = cache_images(
        image_source(write(tmp_path, pixels)), (10, 8), channels, tmp_path / "cache"
    )
    assert torch.equal(cached.batch(range(3)), torch.from_numpy(pixels).movedim(-1, 1))


def test_grey_arrays_need_no_axis_of_channels(tmp_path: Path) -> None:
    pixels = stored.images(3)[..., 0]
    source = image_source(stored.npy(tmp_path, pixels))
    assert all(np.array_equal(np.asarray(source.open(i)), pixels[i]) for i in range(3))


@pytest.mark.parametrize("name", FORMATS)
def test_sources_survive_pickling_and_threads(name: str, tmp_path: Path) -> None:
    pixels = stored.images(40)
    source = image_source(FORMATS[name](tmp_path, pixels))
    source.open(0)
    again = pickle.loads(pickle.dumps(source))
    assert again.fingerprint() == source.fingerprint()
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda index: np.asarray(again.open(index)), range(40)))
    np.testing.assert_array_equal(np.stack(read), pixels)


@pytest.mark.parametrize("name", FORMATS)
def test_fingerprints_change_with_pictures(name: str, tmp_path: Path) -> None:
    fingerprints = []
    for number in range(2):
        root = tmp_path / str(number)
        root.mkdir()
        pixels = stored.images(3)
        pixels[1, 2, 3] += number
        fingerprints.append(image_source(FORMATS[name](root, pixels)).fingerprint())
    assert fingerprints[0] != fingerprints[1]


@pytest.mark.parametrize("name", FORMATS)
def test_labels(name: str, tmp_path: Path) -> None:
    path = str(FORMATS[name](tmp_path, stored.images(7)))
    options: dict[str, Any] = {"labels": True, "cache_dir": str(tmp_path / "cache")}
    if name not in SEVERAL:
        with pytest.raises(UserError, match=r"data\.labels=true: .*(lies in no|no labels are)"):
            ImageDataModule.from_folder(8, path, **options)
        return
    data = ImageDataModule.from_folder(8, path, **options)
    assert data.class_names == ("0", "1", "2")
    assert data.images.labels is not None
    assert data.images.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros(3), r"are float64 \[3\], not a whole number for each of 7 images"),
        (np.full(7, 0.5), "are float64"),
        (np.arange(7) - 1, "has labels from -1 to 5"),
        (np.arange(7) + 10**6, "has labels from 1000000"),
        (np.array([{}] * 7), r"no|damaged"),
        (np.zeros((7, 3), int), "not a whole number for each"),
    ],
)
def test_labels_that_are_none(labels: np.ndarray, words: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=stored.images(7), labels=labels)
    with pytest.raises(UserError, match=words):
        ImageDataModule.from_folder(8, str(tmp_path / "x.npz"), labels=True)


def test_which_array(tmp_path: Path) -> None:
    pixels = stored.images(3)
    path = tmp_path / "x.npz"
    np.savez(path, train=pixels, test=pixels[:1], mean=np.zeros(3))
    with pytest.raises(UserError, match=r"several arrays of images, choose one with data\.key="):
        image_source(path)
    assert len(image_source(path, key="test")) == 1
    with pytest.raises(UserError, match=r"key=val: .* no such array; it has train uint8 \[3 10 8"):
        image_source(path, key="val")
    with pytest.raises(UserError, match=r"key=mean: .* has float64 \[3\] there, not uint8"):
        image_source(path, key="mean")


@pytest.mark.parametrize(
    "array",
    [np.zeros((2, 4, 4)), np.zeros((2, 5, 6, 7), np.uint8), np.zeros((4, 4), np.uint8),
     np.zeros((0, 4, 4), np.uint8), np.zeros((3, 0, 4, 3), np.uint8), np.zeros((), np.uint8)],
)  # fmt: skip
def test_arrays_that_are_no_images(array: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no images, uint8 \[N H W\], .*; it has"):
        image_source(stored.npy(tmp_path, array))


def test_fortrans_order(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.asfortranarray(stored.images(3)))
    with pytest.raises(UserError, match="ascontiguousarray"):
        image_source(tmp_path / "x.npy")


@pytest.mark.parametrize("name", ["folder", "zipped", "npy", "lmdb", "tfrecords", "hdf5"])
def test_options_that_a_format_does_not_take(name: str, tmp_path: Path) -> None:
    path = FORMATS[name](tmp_path, stored.images(2))
    option = {"resolution": 8} if name == "hdf5" else {"key": "images"}
    with pytest.raises(UserError, match=r"data\.(key|resolution)=.*(takes no|needs no)"):
        image_source(path, **option)


def test_tfrecords_of_several_resolutions(tmp_path: Path) -> None:
    pixels = stored.images(2)
    path = stored.tfrecords(tmp_path, pixels)
    assert image_source(path).open(0).size == (8, 10)
    small = image_source(path, resolution=8)
    np.testing.assert_array_equal(np.asarray(small.open(1)), pixels[1, ::2, ::2])
    with pytest.raises(UserError, match=r"data\.resolution=32: .*records has 8, 16"):
        image_source(path, resolution=32)
    assert len(image_source(path / "x-r03.tfrecords")) == 2


def test_lmdb_of_several_resolutions(tmp_path: Path) -> None:
    entries = {
        f"{side}-{index:05d}".encode(): stored.png(stored.images(1, side, side)[0])
        for side in (4, 16)
        for index in range(3)
    }
    path = stored.write_lmdb(tmp_path / "x", {**entries, b"length": b"3"})
    assert [image_source(path).open(index).size for index in range(3)] == [(16, 16)] * 3
    assert image_source(path, resolution=4).open(2).size == (4, 4)
    with pytest.raises(UserError, match=r"data\.resolution=8: .* has 4, 16"):
        image_source(path, resolution=8)


@pytest.mark.parametrize("number", [1, 7, 3000])
def test_lmdb_of_any_size_is_read_as_the_library_does(number: int, tmp_path: Path) -> None:
    """Keys and values of all lengths: within a page, on pages of their own, several levels."""
    lmdb = pytest.importorskip("lmdb")
    rng = np.random.default_rng(number)
    entries = {
        rng.bytes(int(rng.integers(1, 400))): rng.bytes(int(rng.choice([0, 5, 900, 2100, 9000])))
        for _ in range(number)
    }
    path = stored.write_lmdb(tmp_path / "x.mdb", entries, subdir=False)
    with lmdb.open(str(path), map_size=1 << 24, subdir=False) as environment:
        with environment.begin(write=True) as transaction:
            for key in [*entries][::3]:
                transaction.delete(key)
            transaction.put(b"new", b"value")
        with environment.begin() as transaction:
            expected = list(transaction.cursor())
    source = LMDBImages(path)
    found = [(source._keys[index], source.record(index)) for index in range(len(source))]
    assert found == expected


def test_damaged_records_are_left_out(tmp_path: Path) -> None:
    good = stored.example(image=stored.png(stored.images(1)[0]))
    bad = [
        stored.example(shape=[3, 4, 5], data=b"short"),
        stored.example(shape=[2, 1, 1], data=b"xx"),
        stored.example(label=[1]),
        b"no Example",
        b"",
        good[:-9],
    ]
    (tmp_path / "x.tfrecords").write_bytes(b"".join(map(stored.framed, [*bad, good])))
    cached = cache_images(image_source(tmp_path / "x.tfrecords"), (4, 4), 3, tmp_path / "cache")
    assert (len(cached), len(cached.skipped)) == (1, 6)
    assert all(reason.isprintable() for _, reason in cached.skipped)
    assert "has no image but label" in str(cached.skipped)


@pytest.mark.parametrize("name", ["hdf5", "npy", "npz", "lmdb", "tfrecords"])
@pytest.mark.parametrize("kept", [0, 1, 30, 0.51, 0.99])
def test_files_that_are_cut_off(name: str, kept: float, tmp_path: Path) -> None:
    path = FORMATS[name](tmp_path, stored.images(60, 30, 30))
    file = max(path.iterdir(), key=lambda p: p.stat().st_size) if path.is_dir() else path
    data = file.read_bytes()
    file.write_bytes(data[: int(kept * len(data)) if kept < 1 else int(kept)])
    with pytest.raises(UserError) as caught:
        image_source(path).open(59)
    assert str(caught.value).isprintable()
    assert str(file) in str(caught.value) or str(path) in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["x.npy", "x.npz", "x.h5", "x.mdb", "x.tfrecords", "x.tfrecord", "folder/data.mdb", "x.hdf5"],
)
@pytest.mark.parametrize("data", [b"", b"plain text", bytes(9000), b"PK\x03\x04" + bytes(99)])
def test_foreign_files(name: str, data: bytes, tmp_path: Path) -> None:
    if name.endswith((".h5", ".hdf5")):
        pytest.importorskip("h5py")
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        image_source(path.parent if "/" in name else path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"x\.h5 needs h5py: pip install 'fpainter\[hdf5\]'"):
        image_source(tmp_path / "x.h5")
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(UserError, match=r"data\.name=CIFAR10 needs torchvision: pip install torch"):
        ImageDataModule.from_torchvision(8, "CIFAR10", str(tmp_path))


def country211(root: Path, number: int = 5) -> np.ndarray:
    """Write what torchvision reads as Country211, whose files it does not check."""
    pixels = stored.images(number)
    for index, image in enumerate(pixels):
        path = root / "country211" / "train" / ("AD", "ZW")[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return pixels


def test_torchvision(tmp_path: Path) -> None:
    pixels = country211(tmp_path)
    data = ImageDataModule.from_torchvision(
        [10, 8], "Country211", str(tmp_path), labels=True, cache_dir=str(tmp_path / "cache")
    )
    assert data.class_names == ("AD", "ZW")
    found = data.images.batch(range(5))
    assert torch.equal(found, torch.from_numpy(pixels[[0, 2, 4, 1, 3]]).movedim(-1, 1))
    assert data.images.labels is not None
    assert data.images.labels.tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("CIFAR11", {}, r"data\.name=CIFAR11: torchvision has no such images; .*CIFAR10,"),
        ("LSUN", {}, "no such images"),
        ("os", {}, "no such images"),
        ("CIFAR10", {}, r"data\.name=CIFAR10: .*\(in .*data\.download=true fetches"),
        ("Country211", {"split": "all"}, r"data\.name=Country211: .*all"),
        ("Country211", {"colour": 1}, "colour"),
        (None, {}, r"Give data\.name=CIFAR10"),
    ],
)
def test_torchvision_refuses(
    name: str | None, options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    country211(tmp_path)
    with pytest.raises(UserError, match=words):
        ImageDataModule.from_torchvision(8, name, str(tmp_path), options=options)
