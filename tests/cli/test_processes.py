"""One run as two processes: the same images, noise, losses, weights and scores as by one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

from fpainter.launch.continuation import earlier_start
from fpainter.launch.processes import arguments_of_process
from fpainter.training.gan_module import GANModule
from tests.cli.conftest import SMALL, refused, run
from tests.cli.forks import ROOT, in_a_process, run_together
from tests.cli.test_commands import pytestmark as pytestmark

EXACT = [
    *(option for option in SMALL if "discriminator" not in option),
    "trainer.precision=64-true", "batch_size=8", "num_iterations=3", "data.flip=true",
    "+callbacks.watch._target_=tests.cli.test_processes.Watch",
    "+callbacks.watch.directory=${hydra:runtime.output_dir}",
]  # fmt: skip
# Everything that draws numbers while training: latents, augmentation, dropout.
CONVOLUTIONAL = [
    "model/discriminator=convolutional", "model.discriminator.widths=[4,6]",
    "model.discriminator.group_size=1", "model/augment=diff",
    "model/sequence_processor=transformer", "model.generator.sequence_processor.dropout=0.1",
    "model.generator.sequence_processor.d_feedforward=16",
]  # fmt: skip
PAIRS = [
    *CONVOLUTIONAL[:3], "model/loss=relativistic", "model/regulariser=r1_r2",
    "model/augment=adaptive", "model.augment.start=0.4", "model.augment.num_images=100",
    "model/schedule=cosine",
]  # fmt: skip
LIGHTGAN = [
    "model/discriminator=lightgan", "model.discriminator.c_max=8", "model.accumulate=2",
    "batch_size=4", "num_iterations=2",
]  # fmt: skip
METER = "+callbacks.meter._target_=tests.cli.test_processes.Meter"


class Watch(Callback):
    """Keeps each process's images and the mean of all processes' losses, in full precision."""

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)
        self.rows: list[dict[str, Any]] = []

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, module: GANModule, outputs: Any, batch: Tensor, *args: Any
    ) -> None:
        losses = {
            name: float(trainer.strategy.reduce(value.clone(), reduce_op="mean"))
            for name, value in module.metrics.items()
        }
        images = [sum(image.flatten().tolist()) for image in batch]
        self.rows.append({"images": images, "losses": losses})

    def on_train_end(self, trainer: Trainer, module: GANModule) -> None:  # type: ignore[override]
        path = self.directory / f"watched_{trainer.global_rank}.json"
        path.write_text(json.dumps(self.rows))


def train(*arguments: object, launcher: tuple[str, ...] = ()) -> None:
    """Train in a process of its own, which starts the others."""
    done = in_a_process(*launcher, "fpainter.train", *arguments, seconds=300)
    assert done.returncode == 0, done.stdout + done.stderr


def watched(run_dir: Path) -> list[list[dict[str, Any]]]:
    return [json.loads(path.read_text()) for path in sorted(run_dir.glob("watched_*.json"))]


def weights(run_dir: Path) -> dict[str, Tensor]:
    return torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def check_same(one: Path, two: Path, num_iterations: int = 3) -> None:
    """Compare a run by one process with the same by two."""
    (alone,), (first, second) = watched(one), watched(two)
    assert len(alone) == len(first) == len(second) == num_iterations
    for whole, a, b in zip(alone, first, second, strict=True):
        assert a["images"] + b["images"] == whole["images"]
        assert a["losses"].keys() == whole["losses"].keys()
        for name, value in whole["losses"].items():
            assert a["losses"][name] == b["losses"][name]
            assert a["losses"][name] == pytest.approx(value, rel=1e-9, abs=1e-9), name
    before = weights(one)
    for name, tensor in weights(two).items():
        torch.testing.assert_close(tensor, before[name], rtol=1e-9, atol=1e-9, msg=name)


def check_files(one: Path, two: Path) -> None:
    """Check that nothing but what it watched is written by the second process."""
    files = [{p.relative_to(d).as_posix() for p in d.rglob("*")} for d in (one, two)]
    assert files[1] - files[0] == {"watched_1.json"}


class Meter(Callback):
    """Counts the bytes of gradients that a process gives to the others, DDP's and our own.

    It also begins with other weights in the second process, which must take those of the first.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.num_bytes = 0

    def setup(self, trainer: Trainer, module: GANModule, stage: str) -> None:  # type: ignore[override]
        if trainer.global_rank == 1:
            with torch.no_grad():
                for parameter in module.parameters():
                    parameter.add_(1)

    def on_train_start(self, trainer: Trainer, module: GANModule) -> None:  # type: ignore[override]
        all_reduce = distributed.all_reduce

        def counted(tensor: Tensor, *args: Any, **options: Any) -> Any:
            self.num_bytes += tensor.nbytes
            return all_reduce(tensor, *args, **options)

        def hook(state: None, bucket: distributed.GradBucket) -> torch.futures.Future[Tensor]:
            flat = bucket.buffer()
            counted(flat.div_(2))
            future: torch.futures.Future[Tensor] = torch.futures.Future()
            future.set_result(flat)
            return future

        distributed.all_reduce = counted
        distributed.broadcast = self.refuse
        model = trainer.strategy.model
        assert isinstance(model, DistributedDataParallel)
        model.register_comm_hook(None, hook)

    def refuse(self, *args: Any, **options: Any) -> None:
        raise AssertionError("waits for the device in each iteration")

    def on_train_end(self, trainer: Trainer, module: GANModule) -> None:  # type: ignore[override]
        players = module.generator, module.discriminator
        sizes = [p.nbytes for player in players for p in player.parameters()]
        if trainer.is_global_zero:
            self.path.write_text(json.dumps([self.num_bytes, trainer.max_steps * sum(sizes)]))


def test_two_processes_train_as_one_and_exchange_each_gradient_once(tmp_path: Path) -> None:
    """With all that draws numbers, losses of pairs, and gradients that are accumulated."""
    runs = {"noisy": CONVOLUTIONAL, "pairs": PAIRS, "accumulated": LIGHTGAN}
    strategies = ["ddp", "ddp_find_unused_parameters_true"]

    def command(options: list[str], *others: str) -> list[str]:
        return ["train", *EXACT, *options, *others]

    groups = []
    for name, options in runs.items():
        one, two = (f"hydra.run.dir={tmp_path / number / name}" for number in ("one", "two"))
        groups += [[command(options, "trainer=cpu", one)]]
        groups += [2 * [command(options, "trainer=ddp_2cpu", two)]]
    for strategy in strategies:
        metered = [
            "trainer=ddp_2cpu", f"trainer.strategy={strategy}", METER,
            f"+callbacks.meter.path={tmp_path / strategy}.json",
            f"hydra.run.dir={tmp_path / 'two' / strategy}",
        ]  # fmt: skip
        groups += [2 * [command(CONVOLUTIONAL, *metered)]]
    run_together(*groups)
    for name in runs:
        num_iterations = 2 if name == "accumulated" else 3
        check_same(tmp_path / "one" / name, tmp_path / "two" / name, num_iterations)
        check_files(tmp_path / "one" / name, tmp_path / "two" / name)
    for strategy in strategies:
        check_same(tmp_path / "one" / "noisy", tmp_path / "two" / strategy)
        sent, needed = json.loads((tmp_path / f"{strategy}.json").read_text())
        assert needed <= sent < 1.05 * needed


@pytest.mark.slow
def test_two_processes_score_as_one(tmp_path: Path) -> None:
    """Started as users start them, with nothing forked."""
    scores, environment = [], os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for trainer in ("cpu", "ddp_2cpu"):
        run_dir = tmp_path / trainer
        command = [
            sys.executable, "-m", "fpainter.train", *EXACT, *CONVOLUTIONAL, f"trainer={trainer}",
            "fid.enabled=true", "fid.num_images=7", f"hydra.run.dir={run_dir}",
        ]  # fmt: skip
        subprocess.run(command, env=environment, check=True)
        start = earlier_start(run_dir)
        assert start is not None
        scores.append(start.best_fid)
    assert scores[0] == pytest.approx(scores[1], rel=1e-6)


def test_processes_in_a_sweep(tmp_path: Path) -> None:
    """Each job starts its own second process, in its own directory, and goes on with it."""
    options = ["-m", *EXACT, *CONVOLUTIONAL, f"hydra.sweep.dir={tmp_path / 'two'}"]
    train(*options, "trainer=ddp_2cpu", "seed=0", "num_iterations=1")
    train(*options, "trainer=ddp_2cpu", "seed=0,1")
    for job, of_second_start in {"0": 2, "1": 3}.items():
        directory = tmp_path / "two" / job
        assert [len(rows) for rows in watched(directory)] == 2 * [of_second_start]
        alone = tmp_path / f"one{job}"
        run(
            "train", *EXACT, *CONVOLUTIONAL, "trainer=cpu", f"seed={job}", f"hydra.run.dir={alone}",
        )  # fmt: skip
        before = weights(alone)
        for name, tensor in weights(directory).items():
            torch.testing.assert_close(tensor, before[name], rtol=1e-9, atol=1e-9, msg=name)


def test_torchrun(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    run("train", *EXACT, *CONVOLUTIONAL, "trainer=cpu", f"hydra.run.dir={one}")
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m")
    train(*EXACT, *CONVOLUTIONAL, "trainer=ddp_2cpu", f"hydra.run.dir={two}", launcher=torchrun)
    check_same(one, two)


@pytest.mark.parametrize(
    ("rank", "quiet"), [("RANK", True), ("SLURM_PROCID", True), ("OTHER", False)]
)
def test_only_the_first_process_writes_logs(
    rank: str, quiet: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(rank, "1")
    assert ("hydra.output_subdir=null" in arguments_of_process(["seed=1"])) == quiet
    monkeypatch.setenv(rank, "0")
    assert arguments_of_process(["seed=1"]) == ["seed=1"]


def test_processes_of_torchrun_need_a_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "hydra.run.dir=DIR" in refused("train", *SMALL)
