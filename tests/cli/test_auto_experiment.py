"""``experiment=auto``: data and machine decide once, and the run keeps plain settings."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from fpainter.launch.auto_experiment import with_settings
from tests.cli.conftest import refused, run
from tests.cli.test_commands import pytestmark as lightning_warnings

pytestmark = lightning_warnings
TINY = [
    "batch_size=4", "model.generator.num_steps=4", "model.generator.d_hidden=16",
    "model.discriminator.widths=[4,6]", "fid=off", "trainer=cpu",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "grey").mkdir()
    for index in range(6):
        Image.new("L", (20, 30), 40 * index).save(tmp_path / "grey" / f"{index}.png")
    return tmp_path / "grey"


def config(run_dir: Path) -> Any:
    return yaml.safe_load((run_dir / "config.yaml").read_text(encoding="utf-8"))


def test_a_run_keeps_what_was_chosen(folder: Path, tmp_path: Path) -> None:
    run_dir, data = tmp_path / "run", ["data=folder", f"data.dir={folder}"]
    where = f"hydra.run.dir={run_dir}"
    run("train", "experiment=auto", *data, *TINY, "num_iterations=1", where)
    said = (run_dir / "train.log").read_text()
    assert "experiment=auto for 6 images of grey and the CPU" in said
    assert "data.channels=1: 100% of 6 images looked at are grey" in said
    found = config(run_dir)
    assert (found["image_size"], found["data"]["channels"]) == ([24, 16], 1)
    assert found["model"]["regulariser"]["gamma"] == 0.051  # 0.02 · 5^(log₄ 384/1024) · 32/4
    assert (found["batch_size"], found["num_iterations"]) == (4, 1)  # as given
    stored = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["fpainter"]
    assert "experiment=small" in stored["overrides"]
    assert "experiment=auto" not in stored["overrides"]
    # Other pictures now: a run that goes on does not look again, whoever asks.
    for path in folder.iterdir():
        Image.new("RGB", (40, 20), "red").save(path)
    run("train", "ckpt=last", "experiment=auto", "num_iterations=2", where)
    assert config(run_dir)["image_size"] == found["image_size"]
    again = ["experiment=auto", *data, *TINY, "num_iterations=3", "auto_resume=true", where]
    completed, notes = with_settings("train", again)
    assert "data.channels=1" in completed
    assert completed.count("num_iterations=3") == 1
    assert notes == ["experiment=auto: as in the run that goes on"]


def test_the_command_line_wins(folder: Path) -> None:
    arguments = [
        "experiment=auto", "image_size=auto", "data=folder", f"data.dir={folder}",
        "model/augment=none", "model.regulariser.gamma=0.5", "-m", "seed=1,2",
    ]  # fmt: skip
    completed, notes = with_settings("train", arguments)
    assert completed[-6:] == arguments[2:]
    assert "image_size=[24,16]" in completed
    keys = [each.partition("=")[0] for each in completed if "=" in each]
    assert len(keys) == len(set(keys))
    assert len(notes) == len(completed) - len(arguments[2:]) + 1
    assert with_settings("train", completed) == (completed, [])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["data=folder", "data.dir=/nowhere"], "there is no folder or file /nowhere"),
        (["model=stylegan2"], "chooses model/head, which the model that is given does not have"),
        (["-m", "data.dir=a,b", "data=folder"], "looks at one data set; sweep over data.dir"),
        (["warm_start.ckpt=x"], "not with warm_start.ckpt"),
        (["modle=x"], "modle"),
    ],
)
def test_what_it_does_not_go_with(arguments: list[str], said: str, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        Path("x").touch()
        where = f"hydra.run.dir={tmp_path / 'run'}"
        assert said in refused("train", "experiment=auto", *arguments, where)
    assert not (tmp_path / "run").exists()
