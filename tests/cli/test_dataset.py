"""Images packed into one file from the command line."""

import errno
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fpainter.data import packing
from fpainter.data.datamodule import ImageDataModule
from tests.cli.conftest import refused, run
from tests.data import stored
from tests.data.test_formats import country211

HOW = ("centre", "pad")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of images 30×20 and 20×20, one twice, one nearly twice, and one damaged."""
    root = tmp_path / "in"
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
    for index in range(6):
        width = 30 if index < 4 else 20
        image = Image.fromarray(np.random.default_rng(index).integers(0, 256, (4, 6, 3), np.uint8))
        image = image.resize((width, 20), Image.Resampling.BICUBIC)
        image.save(root / ("cat", "dog")[index % 2] / f"{index}.png")
    (root / "dog" / "again.png").write_bytes((root / "dog" / "1.png").read_bytes())
    Image.open(root / "cat" / "2.png").save(root / "cat" / "2.jpg", quality=90)
    (root / "dog" / "bad.png").write_bytes((root / "dog" / "1.png").read_bytes()[:300])
    return root


def written(tmp_path: Path, *arguments: object) -> dict[str, Any]:
    output = tmp_path / "out" / "x.zip"
    run("dataset", f"output={output}", *arguments, f"hydra.run.dir={tmp_path / 'run'}")
    return json.loads(output.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("crop", HOW)
def test_trains_on_the_same_pixels(folder: Path, tmp_path: Path, crop: str) -> None:
    size = [8, 12]
    options: dict[str, Any] = {"labels": True, "cache_dir": str(tmp_path / "cache")}
    report = written(
        tmp_path, f"source={folder}", "image_size=[8,12]", f"data.crop={crop}", "data.labels=true"
    )
    path = tmp_path / "out" / "x.zip"
    direct = ImageDataModule.from_folder(size, str(folder), crop=crop, **options)
    packed = ImageDataModule.from_folder(size, str(path), **options)
    assert torch.equal(packed.images.batch(range(8)), direct.images.batch(range(8)))
    assert packed.class_names == direct.class_names == ("cat", "dog")
    assert direct.images.labels is not None
    assert packed.images.labels is not None
    assert torch.equal(packed.images.labels, direct.images.labels)
    assert list(report["names"].values()) == direct.images.titles
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert names == [f"00000/img{index:08d}.png" for index in range(8)] + ["dataset.json"]
        content = json.loads(archive.read("dataset.json"))
    labels = direct.images.labels.tolist()
    assert content["labels"] == [list(pair) for pair in zip(names[:8], labels, strict=True)]


def test_the_report(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    report = written(tmp_path, f"source={folder}", "image_size=16")
    assert report["num_images"] == 8
    assert report["image_size"] == [16, 16]
    assert report["sizes"] == [
        {"width": 30, "height": 20, "mode": "RGB", "num_images": 7},  # the damaged one, too
        {"width": 20, "height": 20, "mode": "RGB", "num_images": 2},
    ]
    assert report["unreadable"] == [{"title": "dog/bad.png", "reason": "image file is truncated"}]
    assert report["same_pixels"] == [["dog/1.png", "dog/again.png"]]
    assert report["nearly_same"]["groups"] == [["cat/2.jpg", "cat/2.png"]]
    assert report["labels"] == {}
    with zipfile.ZipFile(tmp_path / "out" / "x.zip") as archive:
        assert "dataset.json" not in archive.namelist()
    with Image.open(tmp_path / "out" / "x.png") as sheet:
        assert sheet.size == (3 * 17 + 1, 3 * 17 + 1)


def test_the_same_images_make_the_same_file(folder: Path, tmp_path: Path) -> None:
    files = []
    for name in ("a", "b"):
        written(tmp_path / name, f"source={folder}", "image_size=8", "data.labels=true")
        files.append((tmp_path / name / "out" / "x.zip").read_bytes())
    assert files[0] == files[1]


def test_other_sources(tmp_path: Path) -> None:
    country211(tmp_path)
    report = written(
        tmp_path / "t", "data=torchvision", "data.name=Country211", f"data.dir={tmp_path}",
        "data.labels=true", "image_size=8",
    )  # fmt: skip
    assert report["labels"] == {"AD": 3, "ZW": 2}
    path = stored.npz(tmp_path, stored.images(7))
    report = written(tmp_path / "n", f"source={path}", "data.num_images=4", "image_size=8")
    assert report["num_images"] == 4
    shards = stored.tar(tmp_path, stored.images(5))
    report = written(
        tmp_path / "w", "data=webdataset", f"data.shards={shards}", "data.channels=1",
        "image_size=auto",
    )  # fmt: skip
    assert (report["num_images"], report["channels"]) == (5, 1)
    assert report["image_size"] == [72, 56]


def test_nothing_is_overwritten(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name in ("x.zip", "x.png", "x.json"):
        path = tmp_path / "out" / name
        path.write_text("mine")
        assert f"there is {path} already" in refused(
            "dataset", f"source={folder}", f"output={tmp_path / 'out' / 'x.zip'}"
        )
        assert path.read_text() == "mine"
        path.unlink()


def test_after_a_failure_nothing_is_left(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = packing._png

    def full(pixels: np.ndarray, left: list[int] = [3]) -> bytes:  # noqa: B006
        left[0] -= 1
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "disk")
        return whole(pixels)

    monkeypatch.setattr(packing, "_png", full)
    output = tmp_path / "out" / "x.zip"
    assert "No space left" in refused("dataset", f"source={folder}", f"output={output}")
    assert list(output.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["output=x.zip"], "no images to train on. Give data.dir=PATH"),
        (["source={folder}"], "give output=..."),
        (["source=nowhere", "output=x.zip"], "source=nowhere: there is no such file"),
        (["source={folder}", "output=x.tar"], "output=x.tar: must be called .zip"),
        (["source={folder}", "output={folder}/x.zip", "data.crop=random"], "centre or pad"),
        (["source={folder}", "output={folder}/x.zip", "image_size=0"], "image_size must be"),
        (["source={folder}/cat/2.png", "output=x.zip"], "neither a folder nor a file of images"),
    ],
)
def test_refusals(arguments: list[str], said: str, folder: Path, tmp_path: Path) -> None:
    given = [argument.format(folder=folder) for argument in arguments]
    assert said in refused("dataset", *given, f"hydra.run.dir={tmp_path / 'run'}")
    assert not (tmp_path / "run").exists()
    assert not (folder / "x.zip").exists()
