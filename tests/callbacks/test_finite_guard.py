"""Gradients that are no numbers change no weight; too many of them bring back a checkpoint."""

import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from torch import Tensor, nn

from fpainter.callbacks.checkpoints import RunCheckpoints
from fpainter.callbacks.finite_guard import FiniteGuard
from fpainter.errors import UserError
from fpainter.training.gan_module import GANModule
from fpainter.training.optimiser import adam
from tests.callbacks.test_checkpoints import pytestmark as pytestmark
from tests.training.test_gan_module import Watch, fit
from tests.training.toys import gan


class Poison(nn.Module):
    """Makes what the discriminator sees not a number in some iterations."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__()
        self.iterations = range(first, last + 1)
        self.owner: list[GANModule] = []

    def forward(self, images: Tensor) -> Tensor:
        return images * float("nan") if self.owner[0].iteration in self.iterations else images


def poisoned(first: int, last: int, fused: bool = True) -> GANModule:
    def optimiser(parameters: Any) -> torch.optim.Optimizer:
        return adam(parameters, lr=1e-3, fused=fused)

    poison = Poison(first, last)
    module = gan(
        augment=poison, generator_optimiser=optimiser, discriminator_optimiser=optimiser,
        clip={"generator": 1.0},
    )  # fmt: skip
    poison.owner.append(module)
    return module


def trained(module: GANModule) -> dict[str, Tensor]:
    return {
        name: parameter.detach().clone()
        for name, parameter in module.named_parameters()
        if not name.startswith("generator_ema")
    }


class Notes(Watch):
    """Also keeps the weights and what Adam remembers before each iteration."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[dict[str, Tensor]] = []
        self.moments: list[list[Tensor]] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.weights.append(trained(pl_module))
        states = [state for o in trainer.optimizers for state in o.state.values()]
        self.moments.append([state["exp_avg"].clone() for state in states])


@pytest.mark.parametrize("fused", [True, False])
def test_a_poisoned_iteration_changes_no_weight(fused: bool, tmp_path: Path) -> None:
    module, watch = poisoned(2, 2, fused), Notes()
    fit(module, 3, tmp_path, watch)
    after = trained(module)
    assert all(torch.equal(after[name], weight) for name, weight in watch.weights[2].items())
    assert not all(torch.equal(after[name], weight) for name, weight in watch.weights[1].items())
    assert [metrics["skipped"] for metrics in watch.metrics] == [0, 0, 2]
    assert int(module.skipped_in_a_row) == 1
    fit(module, 2, tmp_path)
    assert int(module.skipped_in_a_row) == 0
    assert all(p.isfinite().all() for p in module.parameters())
    assert not all(torch.equal(trained(module)[name], weight) for name, weight in after.items())


def test_the_last_checkpoint_comes_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Four iterations are saved, the fifth trains, the next three are skipped and take it back."""
    module, notes = poisoned(5, 7), Notes()
    callbacks = [notes, FiniteGuard(tmp_path / "last.ckpt", 3), RunCheckpoints(tmp_path, every=4)]
    fit(module, 10, tmp_path, *callbacks, log_every_n_steps=1)
    assert "back to the weights of iteration 4" in caplog.text
    assert module.iteration == 10
    torch.testing.assert_close(notes.weights[8], notes.weights[4], rtol=0, atol=0)
    torch.testing.assert_close(notes.moments[8], notes.moments[4], rtol=0, atol=0)
    assert not all(torch.equal(notes.weights[5][n], w) for n, w in notes.weights[4].items())
    assert all(p.isfinite().all() for p in module.parameters())


def test_a_state_whose_updates_are_skipped_is_not_saved(tmp_path: Path) -> None:
    """The sixth iteration would be saved, and the fourth be lost."""
    checkpoints = RunCheckpoints(tmp_path, every=2)
    guard = FiniteGuard(tmp_path / "last.ckpt", 3)
    notes = Notes()
    fit(poisoned(5, 7), 10, tmp_path, notes, guard, checkpoints, log_every_n_steps=1)
    torch.testing.assert_close(notes.weights[8], notes.weights[4], rtol=0, atol=0)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["iteration"] == 10


def test_a_save_that_was_due_is_made_up(tmp_path: Path) -> None:
    module = poisoned(3, 3)
    fit(module, 6, tmp_path, RunCheckpoints(tmp_path, every=4, keep_every=None))
    assert torch.load(tmp_path / "previous.ckpt", weights_only=True)["iteration"] == 5


def test_where_the_last_state_is_stuck_the_one_before_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    callbacks = [FiniteGuard(tmp_path / "last.ckpt", 2), RunCheckpoints(tmp_path, every=2)]
    fit(poisoned(4, 7), 10, tmp_path, *callbacks, log_every_n_steps=1)
    assert re.findall(r"back to the weights of iteration (\d)", caplog.text) == ["4", "2"]


def test_going_back_leaves_the_learning_rate(tmp_path: Path) -> None:
    class Slower(Callback):
        def on_train_batch_start(self, trainer: Trainer, module: GANModule, *args: Any) -> None:  # type: ignore[override]
            if module.iteration == 4:
                for optimiser in trainer.optimizers:
                    optimiser.param_groups[0]["lr"] = 1e-5

    module = poisoned(5, 7)
    callbacks = [Slower(), FiniteGuard(tmp_path / "last.ckpt", 3), RunCheckpoints(tmp_path, 4)]
    trainer = fit(module, 8, tmp_path, *callbacks, log_every_n_steps=1)
    assert [optimiser.param_groups[0]["lr"] for optimiser in trainer.optimizers] == [1e-5, 1e-5]


def test_the_run_stops_with_the_facts(tmp_path: Path) -> None:
    module = poisoned(4, 10_000)
    guard = FiniteGuard(tmp_path / "last.ckpt", patience=2, max_rollbacks=2)
    with pytest.raises(
        UserError, match=r"iteration \d+: the last 2 updates .* going back .* 2 times"
    ):
        fit(module, 30, tmp_path, guard, RunCheckpoints(tmp_path, every=2), log_every_n_steps=1)
    stored = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert all(tensor.isfinite().all() for tensor in stored.values())


def test_a_damaged_checkpoint_does_not_come_back(tmp_path: Path) -> None:
    """One bit of a weight, which torch would not notice."""
    last = tmp_path / "last.ckpt"
    module = poisoned(3, 10_000)
    fit(module, 2, tmp_path, RunCheckpoints(tmp_path, every=2))
    content = bytearray(last.read_bytes())
    with zipfile.ZipFile(last) as archive:
        weights = [part for part in archive.infolist() if "/data/" in part.filename]
        largest = max(weights, key=lambda part: part.file_size)
    header = content[largest.header_offset :][:30]
    names = sum(int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    content[largest.header_offset + len(header) + names + largest.file_size // 2] ^= 1
    last.write_bytes(content)
    torch.load(last, weights_only=True)
    guard = FiniteGuard(last, patience=2)
    with pytest.raises(UserError, match=r"last 2 updates .*last\.ckpt: .* is damaged in it"):
        fit(module, 9, tmp_path, guard, log_every_n_steps=1)


def test_options_out_of_range() -> None:
    with pytest.raises(ValueError, match="patience must be at least 1"):
        FiniteGuard("last.ckpt", patience=0)
