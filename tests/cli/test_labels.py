"""Labels from the command line: a run with classes, what is made of it, and mistakes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fpainter.checkpoints.inference import load_painter
from fpainter.generators.painter import FastWeightPainter
from tests.cli.conftest import SMALL, refused, run

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),
]
NAMES = ("bird", "cat", "dog")
MODEL = [option for option in SMALL if not option.startswith("data.")]


def animals(root: Path, *names: str) -> Path:
    for shade, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for number in range(4):
            image = Image.new("RGB", (8, 8), (80 * shade, 20 * number, 0))
            image.save(root / name / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def reals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return animals(tmp_path_factory.mktemp("reals"), *NAMES)


@pytest.fixture(scope="module")
def labelled(reals: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three iterations on three classes."""
    folder = tmp_path_factory.mktemp("labelled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FPAINTER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        run(
            "train", *MODEL, "image_size=8", "data=folder", f"data.dir={reals}", "num_iterations=3",
            "data.labels=true", "callbacks.samples.num_images=9", f"hydra.run.dir={folder}",
        )  # fmt: skip
    return folder


def images(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((folder / "images").iterdir())]


def test_a_run_knows_its_classes_wherever_it_goes(labelled: Path, tmp_path: Path) -> None:
    ckpt = labelled / "checkpoints/last.ckpt"
    assert load_painter(ckpt).sampler.generator.class_names == NAMES
    run("export", f"ckpt={ckpt}", f"output={tmp_path / 'out'}")
    assert "- classes: bird, cat, dog" in (tmp_path / "out/README.md").read_text()
    painter = FastWeightPainter.from_pretrained(tmp_path / "out")
    assert (painter.class_names, painter.num_labels) == (NAMES, 3)
    for name, label in (("by_number", 2), ("by_name", "dog"), ("all", "null")):
        where = ckpt if name == "by_number" else tmp_path / "out"
        run(
            "generate", f"ckpt={where}", "what=[images,grid]", "num_images=7", f"label={label}",
            f"hydra.run.dir={tmp_path / name}",
        )  # fmt: skip
    numbered, named, every = (images(tmp_path / n) for n in ("by_number", "by_name", "all"))
    assert numbered == named
    assert [a == b for a, b in zip(named, every, strict=True)] == [i % 3 == 2 for i in range(7)]
    # Three rows beside a margin, where the square grid of one class has three rows, too.
    paths = tmp_path / "all/grid.png", tmp_path / "by_name/grid.png"
    with Image.open(paths[0]) as rows, Image.open(paths[1]) as square:
        assert rows.height == square.height
        assert rows.width > square.width


def test_pictures_of_the_run(labelled: Path) -> None:
    with Image.open(labelled / "samples/0000003.png") as picture:
        assert picture.height == 3 * 10 + 2
        margin = np.asarray(picture.crop((0, 0, picture.width - 32, picture.height)))
    assert (margin < 255).any()


def test_a_run_goes_on_bit_for_bit(labelled: Path, reals: Path, tmp_path: Path) -> None:
    command = [
        "train", *MODEL, "image_size=8", "data=folder", f"data.dir={reals}", "data.labels=true",
    ]  # fmt: skip
    run(*command, "num_iterations=1", f"hydra.run.dir={tmp_path}")
    run("train", "ckpt=last", "num_iterations=3", f"hydra.run.dir={tmp_path}")
    states = [
        torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for folder in (labelled, tmp_path)
    ]
    assert all(torch.equal(t, states[1][n]) for n, t in states[0].items())


@pytest.mark.parametrize("exported", [False, True])
def test_a_warm_start_keeps_the_order_of_the_classes(
    exported: bool, labelled: Path, tmp_path: Path
) -> None:
    """Here the new data have no birds: label 1 is still a cat."""
    before = labelled / "checkpoints/last.ckpt"
    if exported:
        run("export", f"ckpt={before}", f"output={tmp_path / 'out'}")
    command = [
        "train", f"warm_start.ckpt={tmp_path / 'out' if exported else before}", *MODEL,
        "image_size=8", "data=folder", f"data.dir={animals(tmp_path / 'new', 'dog', 'cat')}",
        "num_iterations=1", f"hydra.run.dir={tmp_path / 'run'}",
    ]  # fmt: skip
    if exported:
        assert "num_labels=3: the data have no labels" in refused(*command)
    run(*command, "data.labels=true")
    generator = load_painter(tmp_path / "run/checkpoints/last.ckpt").sampler.generator
    assert generator.class_names == NAMES


def test_a_painter_without_labels_learns_them(
    finished_run: Path, reals: Path, tmp_path: Path
) -> None:
    ckpt = finished_run / "checkpoints/last.ckpt"
    run(
        "train", f"warm_start.ckpt={ckpt}", "data=folder", f"data.dir={reals}", "data.labels=true",
        "num_iterations=1", f"hydra.run.dir={tmp_path}",
    )  # fmt: skip
    assert load_painter(tmp_path / "checkpoints/last.ckpt").sampler.generator.num_labels == 3


def test_scores_of_each_class(labelled: Path, tmp_path: Path) -> None:
    ckpt = f"ckpt={labelled / 'checkpoints/last.ckpt'}"
    run("eval", ckpt, "num_images=6", "metrics=[fid,fid_by_label]", f"hydra.run.dir={tmp_path}")
    (result,) = json.loads((tmp_path / "scores.json").read_text())["results"]
    table = result["scores"]["fid_by_label"]
    assert table["names"] == list(NAMES)
    assert all(fid > 0 for fid in table["fid"])
    assert "| cat | " in (tmp_path / "scores.md").read_text()
    # Other images: label i must be the same class, and is missing without data.labels.
    other = animals(tmp_path / "other", "dog", "cat")
    message = refused("eval", ckpt, "data=folder", f"data.dir={other}", "num_images=6")
    assert "the real images need labels; give data.labels=true" in message
    run("eval", ckpt, "data=folder", f"data.dir={other}", "data.labels=true", "num_images=6")
    animals(other, "yak")
    message = refused("eval", ckpt, "data=folder", f"data.dir={other}", "data.labels=true")
    assert "is of the class yak, which is not among bird, cat, dog" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["model.generator.num_labels=3"], "num_labels=3: the data have no labels; give data.lab"),
        (
            ["data.labels=true", "model.discriminator.num_labels=4"],
            "model.discriminator.num_labels=4: the data have 5 classes (black, brown, red, blond",
        ),
        (["data.labels=true", "data.class_names=[black,red]"], "which is not among black, red"),
        (["data.labels=maybe"], "labels must be true or false, got 'maybe'"),
    ],
)
def test_mistakes(options: list[str], message: str, tmp_path: Path) -> None:
    assert message in refused("train", *SMALL, *options, f"hydra.run.dir={tmp_path / 'run'}")


def test_mistakes_about_a_checkpoint(labelled: Path, reals: Path, tmp_path: Path) -> None:
    ckpt = labelled / "checkpoints/last.ckpt"
    said = "label=fish: must be one of bird, cat, dog, or a number in 0..2"
    assert said in refused("generate", f"ckpt={ckpt}", "label=fish")
    animals(tmp_path / "more", *NAMES, "ant")
    message = refused("train", f"ckpt={ckpt}", f"data.dir={tmp_path / 'more'}", "num_iterations=9")
    assert "is of the class ant, which is not among bird, cat, dog" in message
