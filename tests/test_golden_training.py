"""Training with the module that users train with follows the released code step by step."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fpainter.generators.base import Generator
from fpainter.losses.adversarial import Hinge
from fpainter.losses.regularisers import UnitGradient
from fpainter.training.ema import ReleasedEMA
from fpainter.training.gan_module import GANModule
from fpainter.training.optimiser import adam
from tests.callbacks.test_checkpoints import pytestmark as lightning_warnings
from tests.conftest import golden_files
from tests.reference import released, released_lightgan, released_unet
from tests.test_golden_lightgan import silence

pytestmark = [pytest.mark.golden, pytest.mark.usefixtures("float64"), *lightning_warnings]

# The released discriminator gives reals low logits: its last layers are ours with the sign turned.
TURNED = ("to_logits.3.", "to_logits.2.", "small.layers.5.")


GENERATORS = {
    "base": (released_lightgan.generator, released_lightgan.generator_name),
    **dict.fromkeys(
        released.PAINTERS,
        (lambda options: released.painter(options["model_type"], options), released.painter_name),
    ),
    **dict.fromkeys(
        released_unet.PAINTERS,
        (
            lambda options: released_unet.painter(options["model_type"], options),
            released_unet.painter_name,
        ),
    ),
}


def trajectories() -> list[Path]:
    """Return the recorded trainings of the painters there are."""
    return [
        path
        for path in golden_files("training")
        if meta(path)["config"]["model_type"] in GENERATORS
    ]


def meta(path: Path) -> dict[str, Any]:
    return json.loads(path.with_suffix(".json").read_text())


class RecordingHinge(Hinge):
    """Keeps each value it returns; a judgement's first head is the released code's main logit."""

    def __init__(self, pooled: bool) -> None:
        super().__init__(pooled)
        self.seen: dict[str, list[float]] = {"d": [], "g": []}

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        loss = super().discriminator(real, fake)
        self.seen["d"].append(loss.item())
        return loss

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        loss = super().generator(fake, real)
        self.seen["g"].append(loss.item())
        return loss


def is_constant(name: str) -> bool:
    """Tell the blur's taps and the second names of the U-Net painters' parameters."""
    return name.endswith(".f") or ".mod_dict." in name


def part(tensors: dict[str, Tensor], prefix: str, rename: Any) -> dict[str, Tensor]:
    return {
        rename(name.removeprefix(prefix)): tensor.double()
        for name, tensor in tensors.items()
        if name.startswith(prefix) and not is_constant(name)
    }


def turn(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n: -tensor if n.startswith(TURNED) else tensor for n, tensor in state.items()}


def build(tensors: dict[str, Tensor], config: dict[str, Any]) -> GANModule:
    model_type = config["model_type"]
    make, rename = GENERATORS[model_type]
    generator: Generator = make(config)
    module = GANModule(
        generator=generator,
        discriminator=released.discriminator(config, blur=model_type == "base"),
        loss=RecordingHinge(pooled=model_type.endswith("_unet")),
        generator_optimiser=lambda p: adam(p, config["lr"], betas=(0.5, 0.9)),
        discriminator_optimiser=lambda p: adam(
            p, config["lr"] * config.get("ttur_mult", 1.0), betas=(0.5, 0.9)
        ),
        ema=ReleasedEMA(),
        regulariser=UnitGradient(weight=10.0, every=4),
        image_range="unit",
        clip={"generator": config.get("clip")},
    )
    released.load(generator, part(tensors, "init.G.", rename))
    released.load(module.generator_ema, part(tensors, "init.GE.", rename))
    judge = part(tensors, "init.D.", released.discriminator_name)
    released.load(module.discriminator, turn(judge))
    return module


@pytest.mark.parametrize("path", trajectories(), ids=lambda path: path.stem)
def test_trajectory(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors, record = load_file(path), meta(path)
    _, rename = GENERATORS[record["config"]["model_type"]]
    module = build(tensors, record["config"])
    silence(monkeypatch)
    module.iteration = record["start_step"]
    latents = iter(tensors["latents"].double())
    monkeypatch.setattr(module, "draw_latents", lambda num: next(latents))
    terms: list[dict[str, float]] = []
    step = module.training_step

    def recorded(batch: Tensor, batch_idx: int) -> None:
        step(batch, batch_idx)
        terms.append({name: value.item() for name, value in module.metrics.items()})

    monkeypatch.setattr(module, "training_step", recorded)
    Trainer(
        accelerator="cpu",
        max_steps=record["steps"],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    ).fit(module, DataLoader(list(tensors["images_uint8"]), batch_size=None))  # type: ignore[arg-type]

    loss = module.loss
    assert isinstance(loss, RecordingHinge)
    main = {player: values[::2] for player, values in loss.seen.items()}
    for row, d_loss, g_loss, term in zip(record["rows"], main["d"], main["g"], terms, strict=True):
        assert d_loss == pytest.approx(row["d_loss"], rel=1e-7)
        assert g_loss == pytest.approx(row["g_loss"], rel=1e-7)
        assert term["auxiliary"] == pytest.approx(row["recon"], rel=1e-7)
        assert ("penalty" in term) == (row["gp"] is not None)
        if row["gp"] is not None:
            assert term["penalty"] == pytest.approx(row["gp"], rel=1e-7)
    check_final(tensors, "G.", module.generator, rename)
    check_final(tensors, "GE.", module.generator_ema, rename)
    check_final(tensors, "D.", module.discriminator, released.discriminator_name)


def check_final(tensors: dict[str, Tensor], prefix: str, module: nn.Module, rename: Any) -> None:
    """Compare every tensor's norm and eight of its entries with those recorded at the end."""
    state = turn(module.state_dict())
    names = [n for n in tensors if n.startswith(f"final_norm.{prefix}") and not is_constant(n)]
    assert names
    for name in names:
        theirs = name.removeprefix("final_norm.")
        tensor = state[rename(theirs.removeprefix(prefix))].flatten().double()
        assert tensor.norm().item() == pytest.approx(tensors[name].item(), rel=1e-7), theirs
        entries = tensor[tensors[f"final_index.{theirs}"].long()]
        torch.testing.assert_close(
            entries, tensors[f"final_value.{theirs}"].to(entries), rtol=1e-6, atol=1e-9, msg=theirs
        )
