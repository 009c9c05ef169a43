"""``image_size=auto``: the data decide once, and the run keeps it as numbers."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from fpainter.launch.auto_size import with_image_size
from tests.cli.conftest import SMALL, refused, run
from tests.cli.test_commands import pytestmark as lightning_warnings

pytestmark = lightning_warnings
# Those of SMALL that go with data of one's own; debug=fast paints 16×16.
TINY = [setting for setting in SMALL if not setting.startswith("data.")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tall").mkdir()
    for index in range(6):
        Image.new("RGB", (20, 40), (40 * index, 0, 0)).save(tmp_path / "tall" / f"{index}.png")
    return tmp_path / "tall"


def config(run_dir: Path) -> Any:
    return yaml.safe_load((run_dir / "config.yaml").read_text(encoding="utf-8"))


def test_a_run_keeps_the_size_it_found(folder: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    data = ["data=folder", f"data.dir={folder}"]
    run("train", *TINY, "image_size=auto", *data, "num_iterations=1", f"hydra.run.dir={run_dir}")
    assert "image_size=auto: 100% of the 6 images of tall" in (run_dir / "train.log").read_text()
    size = config(run_dir)["image_size"]
    assert size == [16, 8]
    assert config(run_dir)["data"]["image_size"] == size
    checkpoint = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    assert "image_size=[16,8]" in checkpoint["fpainter"]["overrides"]
    # Other pictures now, of another shape: a run that goes on does not look again.
    for path in folder.iterdir():
        Image.new("RGB", (40, 20)).save(path)
    run("train", "ckpt=last", "num_iterations=2", f"hydra.run.dir={run_dir}")
    assert config(run_dir)["image_size"] == size


def test_square_data_have_one_number() -> None:
    arguments = ["experiment=small64", "image_size=auto", "data.num_images=9", "--cfg", "job"]
    completed, note = with_image_size("train", arguments)
    assert completed == [arguments[0], "image_size=64", *arguments[2:]]
    assert note is not None
    assert with_image_size("train", completed) == (completed, None)


def test_sweeps_over_other_things(folder: Path) -> None:
    data = ["data=folder", f"data.dir={folder}"]
    arguments = ["-m", "image_size=auto", *data, "seed=1,2"]
    assert with_image_size("train", arguments)[0] == ["-m", "image_size=[96,48]", *data, "seed=1,2"]


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        ("train", ["data=folder", "data.dir=/nowhere"], "there is no folder or file /nowhere"),
        ("train", ["-m", "data=celeba,folder"], "looks at one data set; sweep over data with"),
        ("train", ["warm_start.ckpt=x", "model=lstm_sum"], "not with warm_start.ckpt"),
        ("train", ["experiment=grown64"], "the stages of this run have sizes of their own"),
        ("train", ["modle=x"], "modle"),
        ("eval", [f"images={Path(__file__).parent}"], "needs data to look at"),
    ],
)
def test_what_it_does_not_go_with(
    command: str, arguments: list[str], said: str, tmp_path: Path
) -> None:
    where = f"hydra.run.dir={tmp_path / 'run'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        Path("x").touch()
        assert said in refused(command, "image_size=auto", *arguments, where)
    assert not (tmp_path / "run").exists()
