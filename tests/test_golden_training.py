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

from fpainter.checkpoints.legacy.checkpoint import PREFIXES
from fpainter.checkpoints.legacy.names import renaming, turned
from fpainter.losses.adversarial import Hinge
from tests.callbacks.test_checkpoints import pytestmark as lightning_warnings
from tests.conftest import golden_files
from tests.reference.released import build, part, silence
from tests.test_golden import Record, check

pytestmark = [pytest.mark.golden, pytest.mark.usefixtures("float64"), *lightning_warnings]


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


@pytest.mark.parametrize("path", golden_files("training"), ids=lambda path: path.stem)
def test_trajectory(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    tensors = load_file(path)
    record = json.loads(path.with_suffix(".json").read_text())
    model_type = record["config"]["model_type"]
    init = {
        "generator": part(tensors, "init.G."),
        "generator_ema": part(tensors, "init.GE."),
        "discriminator": part(tensors, "init.D."),
    }
    module, _ = build(model_type, record["config"], tmp_path, **init)
    assert isinstance(module.loss, Hinge)
    module.loss = loss = RecordingHinge(module.loss.pooled)
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

    main = {player: values[::2] for player, values in loss.seen.items()}
    differences = {}
    for step_, (row, d_loss, g_loss, term) in enumerate(
        zip(record["rows"], main["d"], main["g"], terms, strict=True)
    ):
        got = {"d_loss": d_loss, "g_loss": g_loss, "recon": term["auxiliary"]}
        assert ("penalty" in term) == (row["gp"] is not None)
        if row["gp"] is not None:
            got["gp"] = term["penalty"]
        for name, value in got.items():
            differences[f"{name} {step_}"] = abs(value - row[name]) / abs(row[name])
    check(differences, 1e-7, record_property)
    for player, prefix in PREFIXES.items():
        rename = renaming(player, model_type)
        check_final(tensors, prefix, module.get_submodule(player), rename)


def check_final(tensors: dict[str, Tensor], prefix: str, module: nn.Module, rename: Any) -> None:
    """Compare every tensor's norm and eight of its entries with those recorded at the end."""
    state = module.state_dict()
    state = turned(state) if prefix == "D." else state
    names = part(tensors, f"final_norm.{prefix}")
    assert names
    for name, norm in names.items():
        tensor = state[rename(name)].flatten().double()
        assert tensor.norm().item() == pytest.approx(norm.item(), rel=1e-7), name
        entries = tensor[tensors[f"final_index.{prefix}{name}"].long()]
        expected = tensors[f"final_value.{prefix}{name}"].to(entries)
        torch.testing.assert_close(entries, expected, rtol=1e-6, atol=1e-9, msg=name)
