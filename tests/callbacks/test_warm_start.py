"""A run that begins with the weights of another."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Trainer
from omegaconf import OmegaConf

from fpainter.callbacks.checkpoints import RunCheckpoints
from fpainter.callbacks.warm_start import WarmStart
from fpainter.errors import UserError
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.refiners import UNetRefiner
from fpainter.training.gan_module import GANModule
from fpainter.training.optimiser import adam
from tests.callbacks.test_checkpoints import pytestmark as pytestmark
from tests.training.test_gan_module import fit
from tests.training.toys import SIZE, gan, painter


def named(parameters: Any) -> torch.optim.Optimizer:
    return adam(parameters, lr=1e-3)


def module(**options: Any) -> GANModule:
    return gan(generator_optimiser=named, discriminator_optimiser=named, **options)


def refining(freeze: bool = True, size: int = SIZE) -> FastWeightPainter:
    plain = painter(size)
    return FastWeightPainter(
        plain.num_steps, plain.d_latent, 6, size, 3, plain.input_generator,
        plain.sequence_processor, plain.head, plain.learning_rule,
        refiner=UNetRefiner(size, width=8, multipliers=(1, 2)), freeze_painter=freeze,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("trained")
    fit(module(), 5, path, RunCheckpoints(path, every=100))
    return torch.load(path / "last.ckpt", weights_only=True)


def start(
    path: Path, trained: dict[str, Any], begun: GANModule, num: int = 0, **options: Any
) -> dict[str, list[str]]:
    """Begin a run, train some iterations and return the report."""
    torch.manual_seed(7)
    fit(begun, num, path, WarmStart(path, trained, "other.ckpt", **options))
    report = OmegaConf.to_container(OmegaConf.load(path / "warm_start.yaml"))
    assert isinstance(report, dict)
    return {str(verdict): names for verdict, names in report.items()}


def weights(trained: dict[str, Any], player: str) -> dict[str, torch.Tensor]:
    prefix = f"{player}."
    state = trained["state_dict"]
    return {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}


@pytest.mark.parametrize(("chosen", "source"), [("ema", "generator_ema"), ("raw", "generator")])
def test_every_key_is_taken_missing_or_left(
    chosen: str, source: str, tmp_path: Path, trained: dict[str, Any]
) -> None:
    begun = module(generator=refining())
    report = start(tmp_path, trained, begun, weights=chosen)
    other = "generator" if chosen == "ema" else "generator_ema"
    for name, tensor in weights(trained, source).items():
        assert torch.equal(begun.generator.state_dict()[name], tensor)
        assert torch.equal(begun.generator_ema.state_dict()[name], tensor)
    for name, tensor in weights(trained, "discriminator").items():
        assert torch.equal(begun.discriminator.state_dict()[name], tensor)
    assert {n for n in report["left"] if n.startswith("generator")} == {
        f"{other}.{name}" for name in weights(trained, other)
    }
    states = {n for names in report.values() for n in names if n.startswith("optimiser")}
    assert {n for names in report.values() for n in names} - states == (
        begun.state_dict().keys() | {f"{other}.{name}" for name in weights(trained, other)}
    )
    assert all(".refiner." in name for name in report["missing"])
    assert begun.iteration == 0


def test_the_frozen_painter_stays_and_the_rest_learns(
    tmp_path: Path, trained: dict[str, Any]
) -> None:
    begun = module(generator=refining())
    start(tmp_path, trained, begun, num=2)
    source = weights(trained, "generator_ema")
    for name, tensor in begun.generator.state_dict().items():
        if name in source:
            assert torch.equal(tensor, source[name])
            assert torch.equal(begun.generator_ema.state_dict()[name], source[name])
    assert not torch.equal(
        begun.generator.state_dict()["refiner.unet.stem.weight"],
        begun.generator_ema.state_dict()["refiner.unet.stem.weight"],
    )


def test_a_fresh_discriminator(tmp_path: Path, trained: dict[str, Any]) -> None:
    begun = module(generator=refining())
    fresh = {name: tensor.clone() for name, tensor in begun.discriminator.state_dict().items()}
    report = start(tmp_path, trained, begun, discriminator="reset")
    for name, tensor in begun.discriminator.state_dict().items():
        assert torch.equal(tensor, fresh[name])
    assert not any("discriminator" in name for name in report["taken"])


@pytest.mark.parametrize("generator", ["keep", "reset"])
@pytest.mark.parametrize("discriminator", ["keep", "reset"])
def test_states_of_optimisers(
    generator: str, discriminator: str, tmp_path: Path, trained: dict[str, Any]
) -> None:
    begun = module(generator=refining(freeze=False))
    report = start(
        tmp_path, trained, begun,
        generator_optimiser=generator, discriminator_optimiser=discriminator,
    )  # fmt: skip
    choices = {"generator": generator, "discriminator": discriminator}
    for optimiser, (index, (player, choice)) in zip(
        begun.trainer.optimizers, enumerate(choices.items()), strict=True
    ):
        stored = trained["optimizer_states"][index]
        names = stored["param_groups"][0]["param_names"]
        if choice == "reset":
            assert not optimiser.state
            continue
        own = dict(begun.get_submodule(player).named_parameters())
        for position, name in enumerate(names):
            for entry, value in stored["state"][position].items():
                assert torch.equal(optimiser.state[own[name]][entry], value)
            assert f"optimiser of {player}.{name}" in report["taken"]
        assert len(optimiser.state) == len(names)


def test_kept_states_are_those_of_training_on(tmp_path: Path, trained: dict[str, Any]) -> None:
    """Five iterations and a warm start that keeps everything is where training stood."""
    begun = module()
    start(
        tmp_path, trained, begun, num=1, weights="raw", generator_optimiser="keep",
        discriminator_optimiser="keep",
    )  # fmt: skip
    assert all(
        float(state["step"]) == 6 for o in begun.trainer.optimizers for state in o.state.values()
    )


def test_steps_are_counted_where_adam_wants_them(tmp_path: Path, trained: dict[str, Any]) -> None:
    """On the CPU, unless it is fused, wherever the parameters are; "meta" stands for a GPU."""
    begun = WarmStart(tmp_path, trained, "other.ckpt", generator_optimiser="keep")
    begun.setup(Trainer(logger=False, accelerator="cpu"), module(), "fit")
    elsewhere = module().to("meta")
    optimisers = elsewhere.configure_optimizers()
    begun.on_fit_start(SimpleNamespace(optimizers=optimisers), elsewhere)  # type: ignore[arg-type]
    states = [state for optimiser in optimisers for state in optimiser.state.values()]
    assert {state["exp_avg"].device.type for state in states} == {"meta"}
    assert {state["step"].device.type for state in states} == {"cpu"}


@pytest.mark.parametrize(
    ("generator", "options", "words"),
    [
        (refining(size=16), {}, r"generator\.head\.\S+ is \d+×6 there and \d+×6 in this run"),
        (None, {"weights": "best"}, "weights=best: must be one of"),
        (None, {"discriminator": "forget"}, "discriminator must be one of"),
    ],
)
def test_what_does_not_fit_is_named(
    generator: FastWeightPainter | None,
    options: dict[str, Any],
    words: str,
    tmp_path: Path,
    trained: dict[str, Any],
) -> None:
    begun = module(**({"generator": generator} if generator else {}))
    with pytest.raises((UserError, ValueError), match=words):
        start(tmp_path, trained, begun, **options)


def test_what_is_frozen_must_have_been_trained(tmp_path: Path, trained: dict[str, Any]) -> None:
    lacking = dict(trained, state_dict=dict(trained["state_dict"]))
    del lacking["state_dict"]["generator_ema.head.to_instructions.bias"]
    with pytest.raises(UserError, match=r"has no generator\.head\.to_instructions\.bias"):
        start(tmp_path, lacking, module(generator=refining()))
    with pytest.raises(UserError, match="has nothing for generator"):
        start(tmp_path, dict(trained, state_dict={"x": torch.zeros(1)}), module())
