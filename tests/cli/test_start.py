"""A mistake is answered before anything slow is imported, and leaves nothing behind."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from fpainter.callbacks.curves import LearningCurves
from fpainter.training.gan_module import GANModule
from tests.cli.conftest import SMALL, refused, run
from tests.cli.test_commands import pytestmark as lightning_warnings

pytestmark = lightning_warnings

PROGRAM = """
import runpy, sys
module, sys.argv = sys.argv[1], sys.argv[1:]
try:
    runpy.run_module(module, run_name="__main__")
finally:
    slow = ("torch", "lightning", "torchmetrics", "torchvision", "matplotlib", "numpy")
    print("imported:", *(name for name in slow if name in sys.modules))
"""
COMMANDS = (
    "train", "dataset", "eval", "generate", "fit", "viewer", "export", "stats", "benchmark",
    "report", "import_legacy",
)  # fmt: skip
NOWHERE = [
    ("train", ["ckpt=/nowhere"], "ckpt=/nowhere: there is no such file"),
    ("train", ["ckpt=last"], "ckpt=last: no run below"),
    ("train", ["warm_start.ckpt=/nowhere"], "warm_start.ckpt=/nowhere: there is no such file"),
    ("train", ["warm_start.ckpt=/nowhere", "model=base"], "warm_start.ckpt=/nowhere: there is no"),
    ("train", ["data=folder", "data.dir=/nowhere"], "there is no folder or file /nowhere."),
    ("train", ["data=folder"], "no images to train on. Give data.dir=PATH"),
    ("train", ["data=celeba", "data.dir=/nowhere"], "Download img_align_celeba.zip"),
    ("eval", ["ckpt=/nowhere"], "ckpt=/nowhere: there is no such file"),
    ("eval", [f"ckpt=[{__file__},/nowhere]"], "ckpt=/nowhere: there is no such file"),
    ("eval", ["images=/nowhere"], "images=/nowhere: there is no such file"),
    ("eval", [f"ckpt={__file__}", "data=folder", "data.dir=/nowhere"], "no folder or file"),
    ("generate", ["ckpt=/nowhere"], "ckpt=/nowhere: there is no such file"),
    ("export", [], "give ckpt=..."),
    ("dataset", ["source=/nowhere", "output=x.zip"], "source=/nowhere: there is no such file"),
    ("dataset", ["output=x.zip"], "no images to train on. Give data.dir=PATH"),
    ("fit", ["image=/nowhere"], "image=/nowhere: there is no such file"),
    ("fit", [], "give image=..."),
    ("viewer", ["ckpt=/nowhere"], "ckpt=/nowhere: there is no such file"),
    ("viewer", [f"ckpt={__file__}", "compare=/nowhere"], "compare=/nowhere: there is no such file"),
    ("export", ["ckpt=/nowhere"], "ckpt=/nowhere: there is no such file"),
    ("stats", ["data=folder", "data.dir=/nowhere"], "there is no folder or file /nowhere"),
    ("stats", ["import=/nowhere"], "import=/nowhere: there is no such file"),
    ("benchmark", ["data=folder", "data.dir=/nowhere"], "there is no folder or file /nowhere"),
    ("report", ["runs=/nowhere"], "runs=/nowhere: there is no such folder"),
    (
        "import_legacy", ["checkpoint=/nowhere", "args=/nowhere", "output=x"],
        "checkpoint=/nowhere: there is no such file",
    ),
    (
        "import_legacy", [f"checkpoint={__file__}", "args=/nowhere", "output=x"],
        "args=/nowhere: there is no such file",
    ),
]  # fmt: skip


def started(command: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own that imports nothing slow."""
    package = "." if command not in ("report", "viewer") else ".__main__"
    module = f"fpainter.{command}" if package == "." else f"fpainter.{command}{package}"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, module, *arguments], cwd=cwd, capture_output=True,
        text=True, env=os.environ | {"FPAINTER_LOGS": str(cwd / "logs")},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "imported:", done.stdout + done.stderr
    return done


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_given_at_once(command: str, tmp_path: Path) -> None:
    done = started(command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert f"python -m fpainter.{command}" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_mistyped_key_is_answered_at_once(command: str, tmp_path: Path) -> None:
    done = started(command, "ckp=x", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "ckp" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["model=lstm", "experiment=papers/x", "--batch-size", "data="])
def test_a_wrong_option_is_answered_at_once(option: str, tmp_path: Path) -> None:
    done = started("train", option, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] != ""
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "arguments", "words"), NOWHERE, ids=lambda value: str(value)[-60:]
)
def test_a_missing_file_is_answered_at_once(
    command: str, arguments: list[str], words: str, tmp_path: Path
) -> None:
    done = started(command, *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("fpainter: ")
    assert words in done.stderr
    assert not list(tmp_path.iterdir())


def content(directory: Path) -> dict[Path, bytes | None]:
    return {p: p.read_bytes() if p.is_file() else None for p in directory.rglob("*")}


REFUSED = [
    ("train", "image_size=0"),
    ("train", "batch_size=0"),
    ("train", "model.generator.num_steps=0"),
    ("train", "trainer.precision=9"),
    ("train", "data=folder"),
    ("generate", "num_images=0"),
    ("eval", "num_images=1"),
    ("viewer", "num_images=0"),
    ("export", "weights=none"),
    ("stats", "fid.protocol=none"),
    ("benchmark", "what=nothing"),
]


@pytest.mark.parametrize(("command", "mistake"), REFUSED)
def test_a_refused_command_leaves_no_directory(
    command: str, mistake: str, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FPAINTER_LOGS", str(tmp_path / "logs"))
    ckpt = finished_run / "checkpoints" / "last.ckpt"
    given = [f"ckpt={ckpt}"] if command in ("generate", "eval", "viewer", "export") else []
    refused(command, *given, mistake)
    assert not list(tmp_path.iterdir())
    # What was there before is as it was.
    (tmp_path / "logs" / command / "before").mkdir(parents=True)
    before = content(tmp_path)
    refused(command, *given, mistake)
    assert content(tmp_path) == before
    refused(command, *given, mistake, f"hydra.run.dir={tmp_path / 'logs' / command / 'before'}")
    assert content(tmp_path) == before


def test_a_refused_start_leaves_an_earlier_run_as_it_was(tmp_path: Path) -> None:
    run("train", *SMALL, "num_iterations=1", f"hydra.run.dir={tmp_path}")
    before = content(tmp_path)
    refused("train", "ckpt=last", "batch_size=0", f"hydra.run.dir={tmp_path}")
    assert content(tmp_path) == before


def test_a_run_that_has_trained_keeps_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(LearningCurves, "on_train_end", full)
    refused("train", *SMALL, f"hydra.run.dir={tmp_path / 'run'}")
    assert {"train.log", ".hydra", "metrics.csv"} <= {p.name for p in (tmp_path / "run").iterdir()}


def test_a_mistake_of_ours_keeps_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: Any) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(GANModule, "configure_optimizers", wrong)
    with pytest.raises(RuntimeError, match="a mistake"):
        run("train", *SMALL, f"hydra.run.dir={tmp_path / 'run'}")
    assert {"train.log", ".hydra"} <= {path.name for path in (tmp_path / "run").iterdir()}
