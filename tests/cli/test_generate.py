"""What ``generate`` makes when asked for it, and what it says when it cannot."""

import csv
import json
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image, ImageOps
from torch import Tensor

from fpainter.checkpoints.inference import TrainedPainter, load_painter
from fpainter.data.datamodule import ImageDataModule
from fpainter.errors import UserError
from fpainter.evaluation.inception import network
from fpainter.generators.base import Generator, PaintingGenerator
from fpainter.generators.latents import latents
from fpainter.generators.sampler import Sampler
from fpainter.nn.image_range import ImageRange
from fpainter.pictures.grids import LABEL_HEIGHT
from fpainter.tasks import chosen
from tests.cli.conftest import SMALL, refused, run

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),
]


@pytest.fixture
def ckpt(finished_run: Path) -> str:
    return f"ckpt={finished_run / 'checkpoints' / 'last.ckpt'}"


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()} - {".hydra", "generate.log"}


def test_every_kind(ckpt: str, tmp_path: Path) -> None:
    run(
        "generate", ckpt, "what=[images,grid,strips,film,walk,spectrum]", "seeds=[6,2,9]",
        "film.fps=10", "film.hold=1", "film.format=apng", "walk.frames_between=2",
        "strips.steps=[1,4]", "strips.normalisation=signed", f"hydra.run.dir={tmp_path}",
    )  # fmt: skip
    assert names(tmp_path) == {
        "images", "grid.png", "strips.png", "film.apng", "walk.apng", "walk.png",
        "spectrum.png", "spectrum.csv", "latents.npz",
    }  # fmt: skip
    assert names(tmp_path / "images") == {"000006.png", "000002.png", "000009.png"}
    with Image.open(tmp_path / "strips.png") as strips:
        assert strips.width == 2 * 17 + 1
    with Image.open(tmp_path / "film.apng") as film:
        assert getattr(film, "n_frames", 1) == 4
    with Image.open(tmp_path / "walk.png") as walk:
        assert walk.size == (3 * 18 + 2, 3 * 18 + 2)
        first = walk.crop((2, 2, 18, 18))
        with Image.open(tmp_path / "images" / "000006.png") as image:
            np.testing.assert_array_equal(first, image)
    with (tmp_path / "spectrum.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 4


def test_only_what_is_asked_for(ckpt: str, tmp_path: Path) -> None:
    run("generate", ckpt, "what=film", "seeds=0-1", f"hydra.run.dir={tmp_path}")
    assert names(tmp_path) == {"film.gif"}


def test_the_chosen_images_are_those_of_their_indices(ckpt: str, tmp_path: Path) -> None:
    run("generate", ckpt, "num_images=4", f"hydra.run.dir={tmp_path / 'all'}")
    run("generate", ckpt, "seeds=[3,1,3]", f"hydra.run.dir={tmp_path / 'some'}", "batch_size=1")
    for name in ("000003.png", "000001.png"):
        expected = (tmp_path / "all" / "images" / name).read_bytes()
        assert (tmp_path / "some" / "images" / name).read_bytes() == expected


def test_truncated_images_are_seen_finer(tmp_path: Path) -> None:
    for size in (32, 64):
        where = f"hydra.run.dir={tmp_path / str(size)}"
        run("generate", "num_images=1", "truncation=0.5", f"image_size={size}", where)
    with (
        Image.open(tmp_path / "32" / "images" / "000000.png") as small,
        Image.open(tmp_path / "64" / "images" / "000000.png") as large,
    ):
        assert large.size == (64, 64)
        seen = np.asarray(large.resize((32, 32), Image.Resampling.BOX)).astype(float)
        assert np.abs(seen - np.asarray(small)).mean() < 5


def test_dropped_steps_are_missing_from_the_image(ckpt: str, tmp_path: Path) -> None:
    run("generate", ckpt, "seeds=5", "drop_steps=[1,3]", f"hydra.run.dir={tmp_path}")
    sampler = load_painter(ckpt.removeprefix("ckpt=")).sampler
    with torch.no_grad():
        assert isinstance(sampler.generator, PaintingGenerator)
        painting = sampler.generator.paint(latents(0, [5], sampler.d_latent))
        kept = sampler.image_range.to_bytes(painting.updates()[:, [1, 3]].sum(dim=1).tanh())[0]
    with Image.open(tmp_path / "images" / "000005.png") as image:
        difference = np.moveaxis(np.asarray(image, dtype=int), -1, 0) - kept.int().numpy()
    assert np.abs(difference).max() <= 1


def test_v1_with_more_steps_than_trained(tmp_path: Path) -> None:
    run(
        "train", *SMALL, "model=lstm_delta_unet", "image_size=16", "num_iterations=1",
        "model.generator.refiner.width=8", f"hydra.run.dir={tmp_path / 'run'}",
    )  # fmt: skip
    ckpt = f"ckpt={tmp_path / 'run' / 'checkpoints' / 'last.ckpt'}"
    options = ["what=[film,images]", "seeds=1", "num_steps=7", "film.format=apng"]
    run("generate", ckpt, *options, f"hydra.run.dir={tmp_path / 'refined'}")
    run("generate", ckpt, *options, "refined=false", f"hydra.run.dir={tmp_path / 'plain'}")
    for folder, frames in [("refined", 8), ("plain", 7)]:
        with Image.open(tmp_path / folder / "film.apng") as film:
            assert getattr(film, "n_frames", 1) == frames
    assert names(tmp_path / "refined") == {"film.apng", "images", "unrefined", "latents.npz"}
    assert names(tmp_path / "plain") == {"film.apng", "images", "latents.npz"}
    image = (tmp_path / "plain" / "images" / "000001.png").read_bytes()
    assert image == (tmp_path / "refined" / "unrefined" / "000001.png").read_bytes()
    assert image != (tmp_path / "refined" / "images" / "000001.png").read_bytes()


class Photographer(Generator):
    """A generator without painting steps."""

    d_latent = 8

    def __init__(self) -> None:
        super().__init__()
        self.shade = torch.nn.Parameter(torch.zeros(1))

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return z.mean(dim=1)[:, None, None, None].expand(-1, 3, 8, 8)


@pytest.fixture
def photographer(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("photographer"))
    Path("a.ckpt").touch()
    sampler = Sampler(Photographer(), ImageRange("signed"))
    trained = TrainedPainter(sampler, OmegaConf.create(), 1, "ema", Path("a.ckpt"))
    monkeypatch.setattr(chosen, "load_painter", lambda *_, **__: trained)


@pytest.mark.usefixtures("photographer")
def test_a_generator_without_steps(tmp_path: Path) -> None:
    run("generate", "ckpt=a.ckpt", "num_images=3", f"hydra.run.dir={tmp_path}")
    assert names(tmp_path) == {"images", "grid.png", "latents.npz"}
    log = (tmp_path / "generate.log").read_text()
    assert "no strips: Photographer does not paint in steps" in log
    run("generate", "ckpt=a.ckpt", "what=walk", f"hydra.run.dir={tmp_path}")
    assert "walk.gif" in names(tmp_path)


@pytest.mark.usefixtures("photographer")
@pytest.mark.parametrize(
    "option", ["what=strips", "what=[images,film]", "what=spectrum", "drop_steps=1", "num_steps=3"]
)
def test_steps_asked_of_a_generator_without_steps(option: str, tmp_path: Path) -> None:
    words = refused("generate", "ckpt=a.ckpt", option, f"hydra.run.dir={tmp_path}")
    assert "Photographer does not paint in steps" in words
    assert not names(tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["what=movie"], "what=movie: must be among images, grid, strips, film"),
        (["what=[]"], "must be among images"),
        (["seeds=5-1"], "did you mean 1-5? (in seeds)"),
        (["seeds=cat"], "must be a number from 0"),
        (["seeds=-1"], "must be a number from 0"),
        (["drop_steps=[99]"], "drop_steps must be in 1..4; got [99] (in num_steps or drop_steps)"),
        (["num_steps=48"], "each of its 4 steps a part of the latent"),
        (["strips.steps=[2,1]"], "steps must increase within 1..4; got [2, 1]"),
        (["strips.steps=[5]"], "steps must increase within 1..4; got [5]"),
        (["film.format=avi"], "format must be one of gif, webp, apng, mp4"),
        (["num_steps=x"], "num_steps must be at least 1; got x"),
        (["film.num_images=x"], "film.num_images=x: must be at least 1"),
        (["num_images=1.5"], "num_images=1.5: must be at least 1, a whole number"),
        (["grid.columns=0"], "grid.columns=0: must be at least 1"),
        (["film.columns=x"], "film.columns=x: must be at least 1"),
        (["film.margin=maybe"], "film.margin=maybe: must be true or false"),
        (["seed=x"], "seed=x: must be a whole number"),
        (["strips.num_images=-1"], "strips.num_images=-1: must be at least 0, a whole number"),
        (["walk.ckpts=5"], "walk.ckpts=5: is what what=walk passes; give that, too"),
        (["device=cuda:99"], "device=cuda:99: "),
        (["film.fps=60"], "50 fps at most"),
        (["film.fps=abc"], "fps must be a number above 0 and at most 1000; got abc (in film)"),
        (["nearest.neighbours=0"], "nearest.neighbours=0: must be at least 1"),
        (["nearest.scale=x"], "nearest.scale=x: must be at least 1"),
        (["what=nearest", "crop=[0,0,1,1]"], "compares whole pictures; leave out crop"),
        (["what=nearest", "data=folder"], "no images to train on. Give data.dir=PATH"),
        (["what=nearest", "data=folder", "data.dir=no"], "there is no folder or file no"),
        (
            ["what=nearest", "nearest.neighbours=13"],
            "13 neighbours need at least 13 training images, got 12",
        ),
        (["film.hold=x"], "hold must be from 0 to 600 seconds; got x (in film)"),
        (["film.scale=x"], "scale must be a whole number from 1 to 64; got x (in film)"),
        (["walk.frames_between=x"], "frames_between must be a whole number, at least 0; got x"),
        (["what=walk", "walk.ckpts=5"], "walk.ckpts=5: there is no such file"),
        (["what=walk", "walk.ckpts='no/*.ckpt'"], "walk.ckpts=no/*.ckpt: there is no such file"),
        (["what=walk", "walk.ckpts=[]"], "at least two checkpoints (in walk)"),
        (["what=walk", "seeds=3"], "at least two images (in walk)"),
        (["walk.path=round"], "path must be one of spherical, linear"),
        (["walk.indices=2-x"], "must be a number from 0"),
        (["hydra.run.dir=/dev/null/here"], "/dev/null/here: Not a directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_give_a_sentence(
    options: list[str], words: str, ckpt: str, tmp_path: Path
) -> None:
    message = refused("generate", ckpt, f"hydra.run.dir={tmp_path}", *options)
    assert words in message
    assert len(message.splitlines()) == 1


def state_of(ckpt: str, path: Path, change: Callable[[str, Tensor], Tensor]) -> Path:
    """Write a checkpoint with other averaged weights."""
    checkpoint = torch.load(ckpt.removeprefix("ckpt="), weights_only=True)
    state = checkpoint["state_dict"]
    checkpoint["state_dict"] = {name: change(name, tensor) for name, tensor in state.items()}
    torch.save(checkpoint, path)
    return path


def test_walk_through_training(ckpt: str, tmp_path: Path) -> None:
    last = Path(ckpt.removeprefix("ckpt="))
    early = state_of(ckpt, tmp_path / "0000001.ckpt", lambda name, w: 0.2 * w)
    shutil.copy(last, tmp_path / "0000002.ckpt")
    options = ["what=walk", "seeds=[4,1,7]", "walk.frames_between=3", "film.format=apng"]
    out = tmp_path / "out"
    run("generate", f"ckpt={early}", f"walk.ckpts={last}", *options, f"hydra.run.dir={out}")
    assert names(out) == {"walk.png", "walk.apng"}
    with Image.open(out / "walk.apng") as film:
        assert getattr(film, "n_frames", 1) == 5
    columns, size = 5, 16
    with Image.open(out / "walk.png") as sheet:
        assert sheet.size == (columns * (size + 2) + 2, 3 * (size + 2) + 2)
        cells = [
            np.asarray(sheet.crop((x, 20, x + size, 20 + size)), dtype=int)
            for x in range(2, sheet.width - size, size + 2)
        ]
    for path, cell in [(early, cells[0]), (last, cells[-1])]:
        sampler = load_painter(path).sampler
        image = sampler(latents(0, [1], sampler.d_latent))[0]
        np.testing.assert_array_equal(cell, np.moveaxis(image.numpy(), 0, -1))
    distances = [np.abs(cell - cells[-1]).sum() for cell in cells]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > distances[2] > distances[4] == 0
    # A pattern finds all, the first one again; it goes the same way.
    pattern = f"walk.ckpts='{tmp_path}/0*.ckpt'"
    run("generate", f"ckpt={early}", pattern, *options, f"hydra.run.dir={tmp_path / 'two'}")
    assert (tmp_path / "two" / "walk.png").read_bytes() == (out / "walk.png").read_bytes()


@pytest.mark.parametrize("option", ["model.generator.num_steps=3", "model/learning_rule=oja"])
def test_a_walk_needs_one_architecture(option: str, ckpt: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    run("train", *SMALL, option, "num_iterations=1", f"hydra.run.dir={other}")
    path = other / "checkpoints" / "last.ckpt"
    words = refused(
        "generate", ckpt, "what=walk", f"walk.ckpts={path}", f"hydra.run.dir={tmp_path}"
    )
    part = re.split("[./=]", option)[-2]
    assert f"walk.ckpts={path}: has another model.generator.{part} than {ckpt}" in words


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_nearest_training_images_of_an_exported_painter(ckpt: str, tmp_path: Path) -> None:
    """What it paints is given to it as training images, one of them mirrored."""
    exported, reals = tmp_path / "exported", tmp_path / "painted" / "images"
    run("export", ckpt, f"output={exported}")
    run("generate", f"ckpt={exported}", "num_images=4", f"hydra.run.dir={tmp_path / 'painted'}")
    with Image.open(reals / "000002.png") as image:
        ImageOps.mirror(image).save(reals / "000002.png")
    out = tmp_path / "out"
    run(
        "generate", f"ckpt={exported}", "what=nearest", "seeds=1-2", "nearest.num_images=1",
        "nearest.neighbours=2", "data=folder", f"data.dir={reals}", f"hydra.run.dir={out}",
    )  # fmt: skip
    assert names(out) == {"nearest.png", "nearest.csv", "distances.png", "distances.csv"}
    with Image.open(out / "nearest.png") as picture:
        assert picture.size == (6 * (3 * 17 + 1), 6 * 18 + LABEL_HEIGHT)
    rows = sorted(table(out / "nearest.csv"), key=lambda row: row["sample"])
    assert [(row["sample"], row["image"], row["mirrored"]) for row in rows] == [
        ("1", "000001.png", "False"), ("2", "000002.png", "True"),
    ]  # fmt: skip
    assert max(float(row["distance"]) for row in rows) < 1e-3
    distances = [row["of"] for row in table(out / "distances.csv")]
    assert distances == ["held-back reals"] * 4 + ["samples"] * 2
    assert "100.0 % of 2 samples are nearer to a" in (out / "generate.log").read_text()


@pytest.mark.usefixtures("real_network")
def test_weights_that_are_missing_are_noticed_before_anything_is_done(
    ckpt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(path: object = None) -> None:
        raise UserError("none were found")

    monkeypatch.setattr(network, "find_weights", none)
    monkeypatch.setenv("FPAINTER_CACHE", str(tmp_path / "cache"))
    run_dir = tmp_path / "run"
    words = refused("generate", ckpt, "what=[images,nearest]", f"hydra.run.dir={run_dir}")
    assert "none were found" in words
    assert not list(tmp_path.iterdir())  # no images, not even of the cache


def test_an_exported_painter_does_not_know_where_its_images_are(ckpt: str, tmp_path: Path) -> None:
    run("export", ckpt, f"output={tmp_path / 'exported'}")
    config = tmp_path / "exported" / "config.json"
    portraits = "from_portraits", "num_images", "portrait_seed"
    description = json.loads(config.read_text())
    data = description["config"]["data"]
    data["_target_"] = data["_target_"].replace(portraits[0], "from_folder")
    description["config"]["data"] = {k: v for k, v in data.items() if k not in portraits}
    config.write_text(json.dumps(description))
    words = refused(
        "generate", f"ckpt={config.parent}", "what=nearest", f"hydra.run.dir={tmp_path}"
    )
    assert "what=nearest: needs the training images: no images to train on" in words
    assert "data.dir=PATH" in words


def test_streamed_images_cannot_be_looked_for(ckpt: str, tmp_path: Path) -> None:
    run("generate", ckpt, "what=images", "num_images=2", f"hydra.run.dir={tmp_path}")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "images" / "000001.png", "1.png")
    streamed = ["data=webdataset", f"data.shards={tmp_path / 'a.tar'}"]
    words = refused("generate", ckpt, "what=nearest", *streamed, f"hydra.run.dir={tmp_path}")
    assert "only the first of streamed ones are kept" in words
    assert "data=folder data.dir=PATH" in words


@pytest.mark.parametrize("source", ["ckpt", "data"])
def test_augmentation_of_reals(source: str, ckpt: str, tmp_path: Path) -> None:
    """With p = 0 the reals themselves; what has happened to an image stays as p rises."""
    data = ["data=portraits", "data.num_images=12", "image_size=16"]
    run(
        "generate", *([ckpt] if source == "ckpt" else data), "what=augmentation",
        "model/augment=adaptive", "model.augment.types=[cutout]", "augmentation.scale=1",
        "augmentation.num_images=12", "augmentation.probabilities=[0,0.5,1]",
        f"hydra.run.dir={tmp_path}",
    )  # fmt: skip
    assert names(tmp_path) == {"augmentation.png"}
    with Image.open(tmp_path / "augmentation.png") as picture:
        assert picture.size == (3 * 18 + 2, 12 * 18 + 2 + LABEL_HEIGHT)
        sheet = np.asarray(picture)[2 : 12 * 18 + 2].reshape(12, 18, -1, 3)[:, :16, 2:]
    columns = sheet.reshape(12, 16, 3, 18, 3)[:, :, :, :16].transpose(2, 0, 1, 3, 4)
    reals = ImageDataModule.from_portraits(16, num_images=12).images.batch(range(12))
    assert np.array_equal(columns[0], reals.permute(0, 2, 3, 1))
    changed = [(column != columns[0]).any((1, 2, 3)) for column in columns]
    assert changed[2].all()
    assert 0 < changed[1].sum() < 12
    kept = np.where(changed[1][:, None, None, None], columns[2], columns[0])
    assert np.array_equal(columns[1], kept)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["data=portraits"], "what=augmentation: choose one with model/augment=ada"),
        (["data=portraits", "model/augment=none"], "choose one with model/augment=ada"),
        (["model/augment=ada"], "what=augmentation: needs images; give data=folder data.dir=PATH"),
        (["model/augment=ada", "augmentation.probabilities=[2]"], "must lie in [0, 1]; got 2"),
        (["model/augment=ada", "data=folder"], "no images to train on"),
        (["model/augment=ada", "augmentation.num_images=0"], "augmentation.num_images=0: must be"),
        (["model/augment=ada", "model.augment.types=[zoom]", "data=portraits"], "types must be"),
    ],
)  # fmt: skip
def test_augmentation_that_cannot_be_shown(options: list[str], words: str, tmp_path: Path) -> None:
    message = refused("generate", "what=augmentation", *options, f"hydra.run.dir={tmp_path}")
    assert words in message
    assert len(message.splitlines()) == 1


def test_a_damaged_checkpoint_on_the_way(ckpt: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.ckpt"
    path.write_bytes(b"no checkpoint")
    words = refused(
        "generate", ckpt, "what=walk", f"walk.ckpts=[{path}]", f"hydra.run.dir={tmp_path}"
    )
    assert f"walk.ckpts={path}: not a readable checkpoint" in words


def test_a_file_that_cannot_be_written(ckpt: str, tmp_path: Path) -> None:
    (tmp_path / "grid.png").mkdir()
    words = refused("generate", ckpt, "what=grid", f"hydra.run.dir={tmp_path}")
    assert "grid.png: Is a directory" in words
