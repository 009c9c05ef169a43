"""Our modules compute what the released code computes: its vectors, in float64."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from fpainter.losses.regularisers import UnitGradient
from tests.conftest import golden_files
from tests.reference import released

pytestmark = [pytest.mark.golden, pytest.mark.usefixtures("float64")]


def read(path: Path) -> tuple[dict, dict[str, Tensor], dict[str, Tensor]]:
    with safe_open(path, "pt") as file:
        meta = json.loads(file.metadata()["meta"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    parameters = {
        name.removeprefix("param."): tensor
        for name, tensor in tensors.items()
        if name.startswith("param.") and not name.endswith(".f")  # the blur's constant taps
    }
    return meta, tensors, parameters


def relative(got: Tensor, expected: Tensor) -> float:
    return float((got - expected).detach().abs().max() / expected.abs().max().clamp_min(1e-12))


def painter_files() -> list[Path]:
    files = golden_files("generator")
    return [path for path in files if read(path)[0]["model_type"] in released.PAINTERS]


@pytest.mark.parametrize("path", painter_files(), ids=lambda path: path.stem)
def test_painter(path: Path) -> None:
    meta, tensors, parameters = read(path)
    painter = released.painter(meta["model_type"], meta["kwargs"])
    renamed = {released.painter_name(name): tensor for name, tensor in parameters.items()}
    released.load(painter, renamed)
    z = tensors["z"].double().requires_grad_()
    assert meta["call"] in ({}, {"output_only_last": False}), "an option this test does not know"
    image = painter.fakes(z).images if meta["call"] else painter(z)
    assert relative(image, tensors["image"]) < 1e-9
    own = dict(painter.named_parameters())
    gradients = torch.autograd.grad(
        (image * tensors["weight"]).sum(),
        [z, *(own[released.painter_name(name)] for name in parameters)],
    )
    for name, gradient in zip(["z", *parameters], gradients, strict=True):
        assert relative(gradient, tensors[f"grad.{name}"]) < 1e-9, name


@pytest.mark.parametrize("path", golden_files("discriminator"), ids=lambda path: path.stem)
def test_discriminator(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meta, tensors, parameters = read(path)
    discriminator = released.discriminator(meta["kwargs"], blur="base" in path.stem)
    renamed = {released.discriminator_name(name): tensor for name, tensor in parameters.items()}
    released.load(discriminator, renamed)
    if meta["quadrant"] is not None:
        monkeypatch.setattr(torch, "randint", lambda *_: torch.tensor(meta["quadrant"]))
    images = (tensors["image_uint8"].double() / 255).requires_grad_()
    judgement = discriminator(images, auxiliary=True)
    full, small = judgement.logits
    assert judgement.auxiliary_loss is not None
    assert relative(full, tensors["logits"]) < 1e-9
    assert relative(small, tensors["logits_32x32"].flatten(1)) < 1e-9
    assert relative(judgement.auxiliary_loss, tensors["aux_loss"]) < 1e-9
    penalty = UnitGradient()(judgement.logits, images)
    assert relative(penalty, tensors["gradient_penalty"]) < 1e-9
    if not any(name.startswith("gradnorm.") for name in tensors):
        return
    total = penalty + full.sum() + small.sum() + judgement.auxiliary_loss
    own = dict(discriminator.named_parameters())
    names = [name for name in parameters if f"gradnorm.{name}" in tensors]
    gradients = torch.autograd.grad(total, [own[released.discriminator_name(n)] for n in names])
    for name, gradient in zip(names, gradients, strict=True):
        assert relative(gradient.norm(), tensors[f"gradnorm.{name}"]) < 1e-9, name
