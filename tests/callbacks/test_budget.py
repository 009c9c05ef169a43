"""What iterations cost is counted, nothing else is; a spent budget ends a run in good order."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback

from fpainter.callbacks.budget import Budget
from fpainter.pictures.curves import read_metrics
from fpainter.training.gan_module import GANModule
from tests.callbacks.test_metrics import pytestmark as pytestmark
from tests.callbacks.test_metrics import reporting
from tests.cli.conftest import SMALL, run
from tests.cli.test_commands import rows
from tests.training.test_gan_module import batches
from tests.training.toys import gan

BURNT = 0.5  # seconds, far more than a toy takes on a busy machine


def burn() -> None:
    """Keep the processor busy."""
    until = time.process_time() + BURNT
    while time.process_time() < until:
        pass


class Costly(GANModule):
    """Burns time in each iteration."""

    def training_step(self, batch: Any, batch_idx: int) -> None:
        burn()
        super().training_step(batch, batch_idx)


class Drawing(Callback):
    """Burns as much after each."""

    def on_train_batch_end(self, *args: Any) -> None:
        burn()


def test_cpu_time_is_that_of_iterations_alone(tmp_path: Path) -> None:
    module = gan()
    module.__class__ = Costly
    trainer = reporting(tmp_path, 3, 2, Budget(), Drawing())
    trainer.fit(module, iter(batches(3)))
    spent = read_metrics(tmp_path / "metrics.csv")["cpu_seconds"]
    assert [iteration for iteration, _ in spent] == [2, 3]
    for iteration, value in spent:
        assert iteration * BURNT < value < (iteration + 0.9) * BURNT


def test_a_spent_budget_ends_a_run_as_its_last_iteration_does(tmp_path: Path) -> None:
    budget = "callbacks.budget.stop_after_cpu_minutes"
    run("train", *SMALL, "num_iterations=100_000", f"{budget}=0.003", f"hydra.run.dir={tmp_path}")
    last = tmp_path / "checkpoints" / "last.ckpt"
    done = torch.load(last, weights_only=True)["iteration"]
    assert 0 < done < 100_000
    *before, spent = (float(row["cpu_seconds"]) for row in rows(tmp_path))
    assert spent >= 0.18 > max(before)
    assert (tmp_path / "samples" / f"{done:07d}.png").is_file()
    assert "is spent" in (tmp_path / "train.log").read_text()
    run("train", f"ckpt={last}")
    assert torch.load(last, weights_only=True)["iteration"] == done
    run("train", f"ckpt={last}", f"{budget}=0.006")
    assert torch.load(last, weights_only=True)["iteration"] > done


@pytest.mark.parametrize("minutes", [0, -1.0, "an hour"])
def test_a_budget_is_a_number(minutes: Any) -> None:
    with pytest.raises(ValueError, match="stop_after_cpu_minutes must be a number above 0"):
        Budget(minutes)
