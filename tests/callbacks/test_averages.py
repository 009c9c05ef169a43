"""Averages kept while training, and those of other horizons made of them."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from torch import Tensor, nn

from fpainter.callbacks.averages import PowerAverages
from fpainter.callbacks.checkpoints import RunCheckpoints
from fpainter.checkpoints.averages import STATE, StoredAverages, snapshots
from fpainter.errors import UserError
from fpainter.training.gan_module import GANModule
from fpainter.training.post_hoc import power
from tests.callbacks.test_checkpoints import pytestmark as pytestmark
from tests.training.test_gan_module import fit
from tests.training.toys import D_LATENT, SIZE, gan, painter


class Wander(Callback):
    """Makes the generator's weights a random walk, a function of the iteration, and keeps them."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, trainer: Trainer, module: GANModule, *args: Any) -> None:  # type: ignore[override]
        torch.manual_seed(module.iteration)
        with torch.no_grad():
            for parameter in module.generator.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        self.seen.append({n: t.double() for n, t in module.generator.state_dict().items()})


def averages(path: Path, **options: Any) -> PowerAverages:
    return PowerAverages(path / "averages", **{"enabled": True, "every": 1, **options})


def train(path: Path, num: int, *callbacks: Callback, module: GANModule | None = None) -> GANModule:
    module = gan() if module is None else module
    fit(module, num, path, *callbacks, RunCheckpoints(path / "checkpoints", every=1_000))
    return module


def checkpoint(path: Path) -> tuple[dict[str, Any], Path, str]:
    last = path / "checkpoints" / "last.ckpt"
    return torch.load(last, weights_only=True), last, "ckpt=last"


def expected(seen: list[dict[str, Tensor]], horizon: float, name: str) -> Tensor:
    edges = (torch.arange(len(seen) + 1).double() / len(seen)) ** (power(horizon) + 1)
    return torch.tensordot(edges.diff(), torch.stack([each[name] for each in seen]), dims=1)


@pytest.fixture(scope="module")
def wandered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Tensor]]]:
    path, wander = tmp_path_factory.mktemp("wandered"), Wander()
    train(path, 60, wander, averages(path))
    return path, wander.seen


@pytest.mark.parametrize("horizon", [0.04, 0.05, 0.08, 0.1, 0.2])
def test_any_horizon_is_the_average_of_all_weights(
    horizon: float, wandered: tuple[Path, list[dict[str, Tensor]]]
) -> None:
    path, seen = wandered
    got = StoredAverages(*checkpoint(path)).average(horizon)
    assert got.keys() == seen[0].keys()
    for name, tensor in got.items():
        wanted = expected(seen, horizon, name)
        error = (tensor - wanted).norm() / (seen[-1][name] - wanted).norm()
        assert error < (1e-5 if horizon in (0.05, 0.1) else 0.02), name


def test_the_number_of_snapshots_is_bounded(
    wandered: tuple[Path, list[dict[str, Tensor]]], tmp_path: Path
) -> None:
    path, _ = wandered
    assert list(snapshots(path / "averages")) == list(range(2, 61, 2))  # 32 at most
    train(tmp_path, 20, averages(tmp_path, every=3, max_snapshots=4))
    assert list(snapshots(tmp_path / "averages")) == [6, 12, 18]


class Grow(Callback):
    """Gives the generator other shapes in the middle of a run."""

    def on_train_batch_start(self, trainer: Trainer, module: GANModule, *args: Any) -> None:  # type: ignore[override]
        if module.iteration == 10:
            for player in (module.generator, module.generator_ema):
                player.register_buffer("grown", torch.full((3,), 2.0))


def test_averages_begin_anew_when_shapes_change(tmp_path: Path) -> None:
    wander = Wander()
    train(tmp_path, 30, Grow(), wander, averages(tmp_path, every=4))
    stored, last, where = checkpoint(tmp_path)
    assert stored["callbacks"][STATE]["start"] == 10
    assert list(snapshots(tmp_path / "averages")) == [4, 8, 14, 18, 22, 26, 30]
    got = StoredAverages(stored, last, where).average(0.08)
    assert torch.equal(got["grown"], torch.full((3,), 2.0))
    name = "head.to_instructions.weight"
    wanted = expected(wander.seen[10:], 0.08, name)
    assert (got[name] - wanted).norm() < 0.1 * (wander.seen[-1][name] - wanted).norm()


@pytest.mark.parametrize("change", ["horizons", "shapes"])
def test_averages_of_another_kind_are_not_gone_on_with(change: str, tmp_path: Path) -> None:
    train(tmp_path, 3, averages(tmp_path))
    module, callback = (
        gan(),
        averages(tmp_path, horizons=[0.1, 0.2] if change == "horizons" else [0.1]),
    )
    module.iteration = 3
    state = checkpoint(tmp_path)[0]["callbacks"][STATE]
    if change == "shapes":
        state["states"] = {"0.1": {**state["states"]["0.1"], "more": torch.zeros(1)}}
    callback.load_state_dict(state)
    train(tmp_path, 2, callback, module=module)
    assert checkpoint(tmp_path)[0]["callbacks"][STATE]["start"] == 3


class Counting(nn.Module):
    """A generator's part with buffers of both kinds, as normalisations have them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))


class Count(Callback):
    def on_train_batch_end(self, trainer: Trainer, module: GANModule, *args: Any) -> None:  # type: ignore[override]
        counting: Any = module.generator.get_submodule("counting")
        counting.mean += 1
        counting.count += 1


def test_buffers_are_averaged_and_counts_are_copied(tmp_path: Path) -> None:
    generator = painter()
    generator.add_module("counting", Counting())
    train(tmp_path, 20, Count(), averages(tmp_path), module=gan(generator=generator))
    got = StoredAverages(*checkpoint(tmp_path)).average(0.08)
    assert got["counting.count"] == 20
    numbers = [{"mean": torch.full((2,), i + 1.0).double()} for i in range(20)]
    wanted = expected(numbers, 0.08, "mean").float()
    torch.testing.assert_close(got["counting.mean"], wanted, rtol=1e-3, atol=0)


def test_what_is_copied_is_not_averaged(tmp_path: Path) -> None:
    generator = painter()
    generator.add_module("counting", Counting())
    generator.copied = ("counting.mean",)
    train(tmp_path, 20, Count(), averages(tmp_path), module=gan(generator=generator))
    for state in checkpoint(tmp_path)[0]["callbacks"][STATE]["states"].values():
        torch.testing.assert_close(state["counting.mean"], torch.full((2,), 20.0))


def test_training_is_the_same_with_averages(tmp_path: Path) -> None:
    with_them = train(tmp_path / "a", 4, averages(tmp_path))
    without = train(tmp_path / "b", 4, averages(tmp_path / "b", enabled=False))
    assert not (tmp_path / "b" / "averages").exists()
    assert STATE not in checkpoint(tmp_path / "b")[0]["callbacks"]
    states = with_them.state_dict(), without.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_only_snapshots_of_the_same_averages_count(
    wandered: tuple[Path, list[dict[str, Tensor]]], tmp_path: Path
) -> None:
    """Without its snapshots a checkpoint has the averages at its iteration and no others."""
    stored, _, where = checkpoint(wandered[0])
    alone = StoredAverages(stored, tmp_path / "checkpoints" / "last.ckpt", where)
    assert torch.equal(
        alone.average(0.05)["head.to_instructions.bias"],
        stored["callbacks"][STATE]["states"]["0.05"]["head.to_instructions.bias"],
    )
    with pytest.raises(
        UserError, match=r"at 1 iterations, .* do not suffice for the horizon 0\.02"
    ):
        alone.average(0.02)
    assert StoredAverages(stored, wandered[0] / "checkpoints" / "last.ckpt", where).within_reach()
    other = copy.deepcopy(stored)
    other["callbacks"][STATE]["start"] = 5
    with pytest.raises(UserError, match="at 1 iterations"):
        StoredAverages(other, wandered[0] / "checkpoints" / "last.ckpt", where).average(0.02)


def test_what_is_damaged_is_named(
    wandered: tuple[Path, list[dict[str, Tensor]]], tmp_path: Path
) -> None:
    stored, *_ = checkpoint(wandered[0])
    path = tmp_path / "checkpoints" / "last.ckpt"
    with pytest.raises(UserError, match=r"here: its run kept no averages .* callbacks\.averages"):
        StoredAverages({"iteration": 3, "callbacks": {}}, path, "here")
    for broken in ({"start": 0, "states": {}}, {"start": 60}, {"start": 0, "states": {"x": {}}}):
        with pytest.raises(UserError, match="here: its averages are damaged"):
            StoredAverages({**stored, "callbacks": {STATE: broken}}, path, "here")
    (tmp_path / "averages").mkdir()
    (tmp_path / "averages" / "0000007.safetensors").write_bytes(b"no")
    with pytest.raises(UserError, match=r"0000007\.safetensors: not a readable snapshot"):
        StoredAverages(stored, path, "here")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"horizons": []}, "must be different numbers"),
        ({"horizons": [0.1, 0.1]}, "must be different numbers"),
        ({"horizons": [0.5]}, "above 0 and at most"),
        ({"every": 0}, "every must be at least 1"),
        ({"max_snapshots": 1}, "max_snapshots at least 2"),
    ],
)
def test_options_are_checked(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        averages(tmp_path, **options)


def test_a_generator_of_averages_paints(wandered: tuple[Path, list[dict[str, Tensor]]]) -> None:
    generator = painter()
    generator.load_state_dict(StoredAverages(*checkpoint(wandered[0])).average(0.15))
    assert generator(torch.randn(2, D_LATENT)).shape == (2, 3, SIZE, SIZE)
