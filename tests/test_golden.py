"""Our modules compute what the released code computes: its vectors, in float64."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fpainter.checkpoints.legacy.names import renaming
from fpainter.generators import learning_rules
from fpainter.generators.painter import FastWeightPainter
from fpainter.losses.regularisers import UnitGradient
from tests.conftest import golden_files
from tests.reference.released import build, read, relative, silence

Record = Callable[[str, object], None]

pytestmark = pytest.mark.golden


def check(differences: dict[str, float], limit: float, record: Record) -> None:
    """Assert each relative difference; the summary of the test run shows the largest."""
    for name, difference in differences.items():
        assert difference < limit, name
    record("largest relative difference", max(differences.values()))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("path", golden_files("generator"), ids=lambda path: path.stem)
def test_generator(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    meta, tensors, stored = read(path)
    call = dict(meta["call"])
    shows_all = call.pop("output_only_last", True) is False or "use_pre_unet_loss" in call
    module, _ = build(meta["model_type"], meta["kwargs"] | call, tmp_path, generator=stored)
    generator = module.generator.eval()
    silence(monkeypatch)
    z = tensors["z"].double().requires_grad_()
    image = generator.fakes(z).images if shows_all else generator(z)
    differences = {"image": relative(image, tensors["image"])}
    if call.get("use_pre_unet_loss"):
        before, after = tensors["image"].chunk(2)
        assert isinstance(generator, FastWeightPainter)
        differences["before"] = relative(generator.image_at(z, generator.num_steps), before)
        differences["after"] = relative(generator(z), after)
    rename, own = renaming("generator", meta["model_type"]), dict(generator.named_parameters())
    names = [name for name in stored if rename(name) in own]
    assert {rename(name) for name in names} == own.keys()
    gradients = torch.autograd.grad(
        (image * tensors["weight"]).sum(), [z, *(own[rename(name)] for name in names)]
    )
    for name, gradient in zip(["z", *names], gradients, strict=True):
        differences[name] = relative(gradient, tensors[f"grad.{name}"])
    check(differences, 1e-9, record_property)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("path", golden_files("discriminator"), ids=lambda path: path.stem)
def test_discriminator(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    meta, tensors, stored = read(path)
    model_type = "base" if "base" in path.stem else "lstm_delta"
    module, _ = build(model_type, meta["kwargs"], tmp_path, discriminator=stored)
    discriminator = module.discriminator
    if meta["quadrant"] is not None:
        monkeypatch.setattr(torch, "randint", lambda *_: torch.tensor(meta["quadrant"]))
    images = (tensors["image_uint8"].double() / 255).requires_grad_()
    judgement = discriminator(images, auxiliary=True)
    full, small = (-logits for logits in judgement.logits)  # low is real there
    assert judgement.auxiliary_loss is not None
    penalty = UnitGradient()(judgement.logits, images)
    differences = {
        "logits": relative(full, tensors["logits"]),
        "logits_32x32": relative(small, tensors["logits_32x32"].flatten(1)),
        "aux_loss": relative(judgement.auxiliary_loss, tensors["aux_loss"]),
        "gradient_penalty": relative(penalty, tensors["gradient_penalty"]),
    }
    names = [name for name in stored if f"gradnorm.{name}" in tensors]
    if names:
        total = penalty + full.sum() + small.sum() + judgement.auxiliary_loss
        own = dict(discriminator.named_parameters())
        rename = renaming("discriminator", model_type)
        gradients = torch.autograd.grad(total, [own[rename(name)] for name in names])
        for name, gradient in zip(names, gradients, strict=True):
            differences[name] = relative(gradient.norm(), tensors[f"gradnorm.{name}"])
    check(differences, 1e-9, record_property)


@pytest.mark.parametrize(
    "path",
    [p for p in golden_files("generator") if p.stem == "generator__lstm_delta_split_v2"],
    ids=lambda path: path.stem,
)
def test_closed_form_is_the_loop_in_float32(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    meta, tensors, stored = read(path)
    module, _ = build(meta["model_type"], meta["kwargs"], tmp_path, generator=stored)
    generator, z = module.generator, tensors["z"].float().requires_grad_()
    parameters = dict(generator.named_parameters())

    def run() -> dict[str, torch.Tensor]:
        image = generator(z)
        assert image.dtype == torch.float32
        loss = (image * tensors["weight"].float()).sum()
        gradients = torch.autograd.grad(loss, [z, *parameters.values()])
        return {"image": image, **dict(zip(["z", *parameters], gradients, strict=True))}

    closed = run()
    monkeypatch.setattr(learning_rules.DeltaRule, "strokes", lambda *_, **__: None)
    loop = run()
    assert any(not torch.equal(closed[name], loop[name]) for name in loop)  # it did switch
    check({name: relative(closed[name], loop[name]) for name in loop}, 1e-5, record_property)
