"""Pictures redrawn from the command line: what is written, and what is said when it cannot be."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fpainter.data.portraits import Portraits
from fpainter.ops import naive, rank_one
from tests.cli.conftest import refused, run
from tests.cli.test_viewer import works_of

TINY = ["image_size=[12,16]", "num_steps=3", "iterations=20", "device=cpu"]
RULES = ("delta", "delta_released", "oja", "oja_released", "sum")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three portraits, and what is none."""
    folder = tmp_path_factory.mktemp("portraits")
    for index in range(3):
        Portraits(3).open(index).save(folder / f"{index}.png")
    (folder / "damaged.jpg").write_bytes(b"no picture")
    return folder


def figures(output: Path) -> Any:
    return json.loads((output / "figures.json").read_text(encoding="utf-8"))


def test_one_picture(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "out"
    arguments = [f"image={folder / '1.png'}", *TINY, f"hydra.run.dir={tmp_path / 'run'}"]
    run("fit", *arguments, f"output={output}")
    written = {"picture.png", "strips.png", "film.gif", "viewer.html", "instructions.npz"}
    assert {path.name for path in output.iterdir()} == written | {"figures.json"}
    with np.load(output / "instructions.npz") as file:
        assert list(file["pictures"]) == ["1.png"]
        parts = [torch.from_numpy(file[name]).double() for name in ("key", "value", "rate")]
    assert [tuple(p.shape) for p in parts] == [(1, 3, 3, 16), (1, 3, 3, 12), (1, 3, 3, 1)]
    painted = rank_one.image(*naive.delta_rule(*parts))[0]
    sheet = np.asarray(Image.open(output / "picture.png"), dtype=float)
    scale = 256 // 16
    shown = sheet[scale * 2 :: scale, scale * (2 + 16 + 2) :: scale][:12, :16]
    byte = ((painted + 1) * 127.5).clamp(0, 255).movedim(0, -1).numpy()
    assert np.abs(shown - byte).max() <= 1
    with Image.open(output / "film.gif") as film:
        assert getattr(film, "n_frames", 1) == 3
    (page,) = works_of(output / "viewer.html")
    assert (page["rule"], page["steps"], page["activation"]) == ("delta", 3, "identity")
    assert "Fitted to a picture in 20 iterations" in (output / "viewer.html").read_text("utf-8")
    found = figures(output)
    assert found["numbers_per_picture"] == 3 * 3 * (12 + 16 + 1)
    assert found["best_rank_bounds_rank_1_steps"]
    assert 10 < found["mean"]["redrawn"]["psnr"] < found["mean"]["best_rank"]["psnr"] + 0.1
    run("fit", *arguments, f"output={tmp_path / 'again'}")
    assert figures(tmp_path / "again") == found
    run("fit", *arguments, f"output={tmp_path / 'again'}", "seed=1")
    assert figures(tmp_path / "again")["mean"] != found["mean"]


@pytest.mark.parametrize("rule", RULES)
def test_a_folder_by_every_rule(
    rule: str, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(
        "fit", f"image={folder}", *TINY, "batch_size=2", f"model/learning_rule={rule}",
        f"hydra.run.dir={tmp_path}",
    )  # fmt: skip
    found = figures(tmp_path)
    assert [picture["name"] for picture in found["pictures"]] == ["0.png", "1.png", "2.png"]
    assert found["learning_rule"] == rule
    assert found["mean"]["redrawn"]["psnr"] > 10
    assert len(works_of(tmp_path / "viewer.html")[0]["samples"]) == 3


def test_the_rules_here_are_all_there_are() -> None:
    group = Path(__file__).parents[2] / "configs" / "model" / "learning_rule"
    assert sorted(path.stem for path in group.glob("*.yaml")) == sorted(RULES)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give image=..."),
        (["image={folder}/none.png"], "none.png: there is no such file"),
        (["image={folder}/damaged.jpg"], "damaged.jpg cannot be read (not an image"),
        (["image={empty}"], "no images in the folder"),
        (["image={folder}/1.png", "image_size=8"], "image_size=8: sides must have 11 pixels"),
        (["image={folder}/1.png", "image_size=x"], "got 'x' (in image_size)"),
        (["image={folder}/1.png", "num_steps=0"], "num_steps=0: must be at least 1"),
        (["image={folder}/1.png", "lr=fast"], "lr must be a number above 0; got fast (in lr)"),
        (["image={folder}/1.png", "early=-1"], "must be a number of 0 or more; got -1 (in early)"),
        (["image={folder}/1.png", "channels=2"], "channels=2: must be 1"),
        (["image={folder}/1.png", "key_activation=hard"], "key_activation must be one of"),
        (["image={folder}/1.png", "model/learning_rule=ojo"], "Nearest: oja"),
        (["image={folder}/1.png", "learning_rule=oja"], "model/learning_rule"),
        (
            ["image={folder}/1.png", "lr=1e30", "key_activation=identity"],
            "a smaller lr than 1e+30 helps (in lr)",
        ),
        (["image={folder}/1.png", "output={folder}/1.png"], "1.png: File exists"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    arguments: list[str], said: str, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    given = [each.format(folder=folder, empty=tmp_path / "empty") for each in arguments]
    tiny = [each for each in TINY if each.split("=")[0] not in str(given)]
    assert said in refused("fit", *tiny, *given, f"hydra.run.dir={tmp_path / 'run'}")
    assert not (tmp_path / "run").exists()
