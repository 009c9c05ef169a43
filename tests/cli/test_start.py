"""A mistake is answered before anything slow is imported, and leaves nothing behind."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from fpainter.callbacks.curves import LearningCurves
from fpainter.training.gan_module import GANModule
from tests.cli.conftest import SMALL, refused, run
from tests.cli.forks import ROOT
from tests.cli.test_commands import pytestmark as lightning_warnings

pytestmark = lightning_warnings

# Forks of a process that has imported what all commands begin with, and has read the configs.
PROGRAM = """
import json, os, runpy, sys
import fpainter.launch.command
from fpainter.launch.configs import CONFIG_DIR, composed
from tests.composing import remember

remember()
for path in CONFIG_DIR.glob("[!_]*.yaml"):
    composed(path.stem, [])
slow = ("torch", "lightning", "torchmetrics", "torchvision", "matplotlib", "numpy")
for module, arguments, folder, stem in json.load(sys.stdin):
    if (child := os.fork()) == 0:
        for number, end in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{stem}.{end}", os.O_WRONLY | os.O_CREAT), number)
        os.chdir(folder)
        sys.argv = [module, *arguments]
        try:
            runpy.run_module(module, run_name="__main__")
        finally:  # also at SystemExit, whose message Python writes
            print("imported:", *(name for name in slow if name in sys.modules))
        sys.exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    open(f"{stem}.code", "w").write(str(code))
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


class Answer(NamedTuple):
    """What a command wrote and ended with; `case` is for who reads that an assertion fails."""

    case: list[str]
    code: int
    out: str
    err: str


def answers(cases: Iterable[Sequence[str]], tmp_path: Path) -> Iterator[Answer]:
    """Run commands in processes of their own, which import nothing slow and leave nothing."""
    folder, given = tmp_path / "here", [list(case) for case in cases]
    folder.mkdir()
    jobs = []
    for number, (command, *arguments) in enumerate(given):
        module = f"fpainter.{command}" + (".__main__" if command in ("report", "viewer") else "")
        jobs.append((module, arguments, str(folder), str(tmp_path / str(number))))
    environment = os.environ | {"FPAINTER_LOGS": str(folder / "logs")}
    subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(jobs),
        env=environment,
        cwd=ROOT,  # where the tests can be imported from
        text=True,
        check=True,
    )
    for case, job in zip(given, jobs, strict=True):
        code, out, err = (Path(f"{job[-1]}.{end}").read_text() for end in ("code", "out", "err"))
        assert out.splitlines()[-1] == "imported:", (case, out, err)
        yield Answer(case, int(code), out, err)
    assert not list(folder.iterdir())


def test_help_is_given_at_once(tmp_path: Path) -> None:
    for answer in answers(((command, "--help") for command in COMMANDS), tmp_path):
        assert answer.code == 0, answer
        assert f"python -m fpainter.{answer.case[0]}" in answer.out, answer


def test_a_mistyped_key_is_answered_at_once(tmp_path: Path) -> None:
    for answer in answers(((command, "ckp=x") for command in COMMANDS), tmp_path):
        assert answer.code == 1, answer
        assert "Traceback" not in answer.err, answer
        assert "ckp" in answer.err, answer


def test_a_wrong_option_is_answered_at_once(tmp_path: Path) -> None:
    options = ["model=lstm", "experiment=papers/x", "--batch-size", "data="]
    for answer in answers((("train", option) for option in options), tmp_path):
        assert answer.code == 1, answer
        assert answer.err.splitlines()[-1] != "", answer
        assert "Traceback" not in answer.err, answer


def test_a_missing_file_is_answered_at_once(tmp_path: Path) -> None:
    cases = ((command, *arguments) for command, arguments, _ in NOWHERE)
    for answer, (*_, words) in zip(answers(cases, tmp_path), NOWHERE, strict=True):
        assert answer.code == 1, answer
        assert answer.err.startswith("fpainter: "), answer
        assert words in answer.err, (answer, words)


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
    options = ["num_iterations=2", "batch_size=0", f"hydra.run.dir={tmp_path}"]
    refused("train", "ckpt=last", *options)
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
