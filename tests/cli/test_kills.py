"""Runs that are killed end, once resumed, as if nothing had been."""

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer

from fpainter import files, train
from fpainter.callbacks.fid import FIDCallback
from fpainter.evaluation import features
from fpainter.training.gan_module import GANModule
from tests.cli.conftest import SMALL, quicken, run
from tests.cli.forks import in_a_process
from tests.cli.test_commands import pytestmark as lightning_warnings
from tests.cli.test_commands import rows, untimed
from tests.evaluation.toys import TinyExtractor

pytestmark = lightning_warnings
TINY = [*SMALL, "image_size=8", "checkpoint_every=2"]
SCORED = ["fid.enabled=true", "fid.every=3", "fid.num_images=6"]
LONG = [*TINY, *SCORED, "num_iterations=12", "data.flip=true", "model/augment=diff"]
NAMES = ("SIGKILL", "SIGTERM", "SIGINT")


def state(run_dir: Path, name: str = "last") -> dict[str, Any]:
    """Return a checkpoint without what says how its run was started, and how long it took.

    Of Lightning's own counters, the position in the images alone has an effect.
    """
    stored = torch.load(run_dir / "checkpoints" / f"{name}.ckpt", weights_only=True)
    stored["loops"] = stored["loops"]["fit_loop"]["state_dict"]["combined_loader"]
    del stored["fpainter"], stored["epoch"], stored["callbacks"]["Budget"]
    return stored


def differences(first: Any, second: Any, where: str = "") -> list[str]:
    """Name what is not equal, bit for bit."""
    if torch.is_tensor(first):
        return [] if torch.is_tensor(second) and torch.equal(first, second) else [where]
    if isinstance(first, dict):
        if first.keys() != second.keys():
            return [f"{where}: {', '.join(sorted(first.keys() ^ second.keys()))}"]
        return [d for k in first for d in differences(first[k], second[k], f"{where}.{k}")]
    if isinstance(first, list | tuple):
        if len(first) != len(second):
            return [f"{where}: {len(second)} instead of {len(first)}"]
        pairs = enumerate(zip(first, second, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{where}.{i}")]
    return [] if first == second else [where]


def contents(run_dir: Path) -> dict[str, Any]:
    """Return all that must not depend on interruptions: states, pictures, rows, names of files."""
    files = {path.relative_to(run_dir).as_posix(): path for path in run_dir.rglob("*.*")}
    return {
        "last": state(run_dir),
        "best": state(run_dir, "best"),
        "pictures": {name: p.read_bytes() for name, p in files.items() if name.startswith("s")},
        "rows": [untimed(row) for row in rows(run_dir)],
        "files": {name: None for name in files if not name.startswith(".hydra")},
    }


def forked(arguments: list[str], log: Path, number: int = 0, after: float = 0.0) -> float:
    """Train in a fork, which a signal may end; return how long it took."""
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        with log.open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["fpainter-train", *arguments]
        try:
            train.main()
        finally:
            sys.stderr.flush()
            os._exit(0)
    if number:
        time.sleep(after)
        os.kill(child, number)
    os.waitpid(child, 0)
    return time.monotonic() - started


def kill_and_resume(directory: Path, num_kills: int) -> list[str]:
    """Kill runs at random moments and let them go on; say where they differ from a whole one."""
    quicken(pytest.MonkeyPatch())
    chance = random.Random(num_kills)
    whole, log = directory / "whole", directory / "log.txt"
    for _ in range(2):  # the first fills the caches
        shutil.rmtree(whole, ignore_errors=True)
        seconds = forked([*LONG, f"hydra.run.dir={whole}"], log)
    expected, found = contents(whole), []
    for name in NAMES:
        for index in range(num_kills):
            run_dir = directory / f"{name}{index}"
            after = chance.uniform(0, seconds)
            forked([*LONG, f"hydra.run.dir={run_dir}"], log, getattr(signal, name), after)
            begun = (run_dir / "checkpoints" / "last.ckpt").is_file()
            forked([*(["ckpt=last"] if begun else LONG), f"hydra.run.dir={run_dir}"], log)
            where = f"{name} after {after:.2f} s"
            found += [f"{where}: {d}" for d in differences(expected, contents(run_dir))]
    if "Traceback" in log.read_text():
        found.append(log.read_text())
    return found


@pytest.mark.parametrize("num_kills", [1, pytest.param(24, marks=pytest.mark.slow)])
def test_random_moments(num_kills: int, tmp_path: Path) -> None:
    """In a process that has no threads yet, so that it can be forked."""
    done = in_a_process("tests.cli.test_kills", tmp_path, num_kills)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


class TellTheSecond(Callback):
    """Tells the second process of a run to stop, and not the first."""

    def on_train_batch_end(self, trainer: Trainer, module: GANModule, *args: Any) -> None:  # type: ignore[override]
        if module.iteration == 3 and trainer.global_rank == 1:
            signal.raise_signal(signal.SIGTERM)


def test_processes_stop_after_the_same_iteration(tmp_path: Path) -> None:
    """Where one of them waits for the other they would do so for half an hour."""
    stopped = in_a_process(
        "fpainter.train", *TINY, "num_iterations=9", "checkpoint_every=100", "trainer=ddp_2cpu",
        "+callbacks.tell._target_=tests.cli.test_kills.TellTheSecond", f"hydra.run.dir={tmp_path}",
    )  # fmt: skip
    assert stopped.returncode == 128 + signal.SIGTERM, stopped.stdout + stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert state(tmp_path)["iteration"] == 3


class TellBeforeTraining(Callback):
    """Tells ``all`` processes of a run to stop, or the ``first``, while one waits for another."""

    def __init__(self, whom: str, hook: str) -> None:
        self.whom = whom
        setattr(self, hook, self.tell)

    def tell(self, trainer: Trainer, module: GANModule) -> None:
        if trainer.is_global_zero:
            (os.killpg if self.whom == "all" else os.kill)(os.getpgrp(), signal.SIGTERM)
        trainer.strategy.barrier()


@pytest.mark.parametrize("hook", ["on_fit_start", "on_train_start"])
@pytest.mark.parametrize("whom", ["all", pytest.param("first", marks=pytest.mark.slow)])
def test_processes_stop_before_training(whom: str, hook: str, tmp_path: Path) -> None:
    stopped = in_a_process(
        "fpainter.train", *TINY, "trainer=ddp_2cpu", f"hydra.run.dir={tmp_path}",
        "+callbacks.tell._target_=tests.cli.test_kills.TellBeforeTraining",
        f"+callbacks.tell.whom={whom}", f"+callbacks.tell.hook={hook}", seconds=120,
    )  # fmt: skip
    assert stopped.returncode == 128 + signal.SIGTERM, stopped.stdout + stopped.stderr
    assert "told to stop while nothing is trained" in stopped.stdout
    assert "Traceback" not in stopped.stderr
    assert not (tmp_path / "checkpoints").exists()


class ToldWhileScored(TinyExtractor):
    """Tells processes to stop whenever it is called."""

    def __init__(self, whom: str) -> None:
        super().__init__()
        self.whom = whom

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        (os.killpg if self.whom == "all" else os.kill)(os.getpgrp(), signal.SIGTERM)
        return super().forward(images)


class TellWhileScored(Callback):
    """Makes statistics that are interrupted; told are ``all`` processes or the ``first``."""

    def __init__(self, whom: str) -> None:
        self.whom = whom

    def setup(self, *args: Any, **kwargs: Any) -> None:
        features.load_inception = lambda *_: ToldWhileScored(self.whom)  # type: ignore[assignment]


@pytest.mark.parametrize("whom", ["all", pytest.param("first", marks=pytest.mark.slow)])
def test_processes_finish_a_score_before_they_stop(whom: str, tmp_path: Path) -> None:
    """Told while they make the statistics of the reals, of which each makes its share."""
    run_dir, cache = tmp_path / "run", tmp_path / "cache"
    stopped = in_a_process(
        "fpainter.train", *TINY, *SCORED, f"fid.cache_dir={cache}", "trainer=ddp_2cpu",
        "+callbacks.tell._target_=tests.cli.test_kills.TellWhileScored", "num_iterations=9",
        f"+callbacks.tell.whom={whom}", f"hydra.run.dir={run_dir}", seconds=300,
    )  # fmt: skip
    assert stopped.returncode == 128 + signal.SIGTERM, stopped.stdout + stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert len(list(cache.rglob("*.safetensors"))) == 2  # statistics, and the features they are of
    assert state(run_dir)["iteration"] == 3
    assert rows(run_dir)[-1]["fid"]


class Killed(BaseException):
    """Ends a run where it is; nothing handles it."""


def killed(*arguments: object) -> None:
    with pytest.raises(Killed):
        run("train", *arguments)


def test_the_last_checkpoint_is_never_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = os.replace

    def kill(source: Path, target: Path) -> None:
        if Path(target).name == "last.ckpt" and Path(target).with_name("previous.ckpt").exists():
            raise Killed
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", kill)
        killed(*TINY, "num_iterations=8", f"hydra.run.dir={tmp_path}")
    assert state(tmp_path)["iteration"] == 2
    left = tmp_path / "checkpoints" / ".last.ckpt.0.tmp"  # as a process without power leaves it
    left.touch()
    run("train", "ckpt=last", f"hydra.run.dir={tmp_path}")
    assert state(tmp_path)["iteration"] == 8
    assert not left.exists()


def test_the_newest_run_may_have_the_checkpoint_before_its_last_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FPAINTER_LOGS", str(tmp_path))
    run("train", *TINY, "num_iterations=3")
    (only,) = (tmp_path / "train").iterdir()
    (only / "checkpoints" / "last.ckpt").unlink()
    assert "going on from" in run("train", "ckpt=last", "num_iterations=5")
    assert [row["iteration"] for row in rows(only)] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("how", ["killed", "told"])
def test_a_run_without_its_final_scores_goes_on_from_before(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed, or told to stop and with its score given up, when the last iteration is done."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = [*TINY, *SCORED, "num_iterations=4", "callbacks.samples.every=3"]
    run("train", *options, f"hydra.run.dir={whole}")

    def stop(*_: object) -> None:
        if how == "killed":
            raise Killed
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(FIDCallback, "on_train_end", stop)
        with pytest.raises((Killed, SystemExit)):
            run("train", *options, f"hydra.run.dir={parts}")
    assert state(parts)["iteration"] == 3
    run("train", "ckpt=last", f"hydra.run.dir={parts}")
    expected, found = contents(whole), contents(parts)
    assert [row["fid"] != "" for row in found["rows"]] == [False, False, True, True]
    assert not differences(expected, found)
    before = (parts / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    run("train", "ckpt=last", f"hydra.run.dir={parts}")  # nothing is left to do
    assert (parts / "checkpoints" / "last.ckpt").stat().st_mtime_ns == before


if __name__ == "__main__":
    print(json.dumps(kill_and_resume(Path(sys.argv[1]), int(sys.argv[2]))))
