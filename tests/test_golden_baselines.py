"""The baselines compute what NVIDIA's StyleGAN2 and GANsformer compute, in float64."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fpainter.checkpoints.legacy.baselines import load_plain, renamed
from tests.conftest import golden_files
from tests.reference import baselines
from tests.reference.released import part, read, relative
from tests.test_golden import check

Record = Callable[[str, object], None]

pytestmark = [pytest.mark.golden, pytest.mark.usefixtures("float64")]


@pytest.mark.parametrize("path", golden_files("baselines/generator"), ids=lambda path: path.stem)
def test_generator(path: Path, record_property: Record) -> None:
    meta, tensors, stored = read(path)
    generator = baselines.generator(meta["kwargs"], meta["call"]).eval()
    left_out = set(load_plain(generator, stored | part(tensors, "buffer.")))
    label = tensors["c"].argmax(dim=1) if meta["kwargs"]["c_dim"] else None
    z = tensors["z"].double().requires_grad_()
    noise = {"const": "constant"}.get(meta["call"]["noise_mode"], meta["call"]["noise_mode"])
    w = generator.truncate(generator.mapping(z.flatten(1), label))
    image = generator.synthesis(w, noise)
    ws = tensors["ws"] if tensors["ws"].dim() == 3 else tensors["ws"].transpose(1, 2).flatten(2)
    differences = {
        "image": relative(image, tensors["image"]),
        "w": relative(w, ws),
    }
    if tensors["attention" if "attention" in tensors else "image"].dim() == 6:
        maps = generator.attention_maps(w, noise)
        differences["attention"] = relative(maps, tensors["attention"])
    own = dict(generator.named_parameters())
    names = [name for name in stored if f"grad.{name}" in tensors]
    idle = set(meta.get("unused_parameters", ())) | {n for n in stored if "noise_strength" in n}
    assert set(stored) - set(names) <= idle
    assert left_out.isdisjoint(names)
    gradients = torch.autograd.grad(
        (image * tensors["weight"]).sum(), [z, *(own[renamed(generator, name)] for name in names)]
    )
    expected = {name: tensors[f"grad.{name}"] for name in ["z", *names]}
    # Keys shifted all alike change nothing: of such gradients there is only what rounding left.
    floor = 1e-6 * max(float(gradient.abs().max()) for gradient in expected.values())
    for (name, gradient), got in zip(expected.items(), gradients, strict=True):
        differences[name] = relative(got, gradient, floor)
    check(differences, 1e-9, record_property)


@pytest.mark.parametrize(
    "path", golden_files("baselines/discriminator"), ids=lambda path: path.stem
)
def test_discriminator(path: Path, record_property: Record) -> None:
    meta, tensors, stored = read(path)
    discriminator = baselines.discriminator(meta["kwargs"])
    load_plain(discriminator, stored | part(tensors, "buffer."))
    images = (tensors["image_uint8"].double() / 127.5 - 1).requires_grad_()
    label = tensors["c"].argmax(dim=1) if meta["kwargs"]["c_dim"] else None
    (logits,) = discriminator(images, label=label).logits
    (slope,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    r1 = slope.square().sum(dim=(1, 2, 3))
    differences = {
        "logits": relative(logits, tensors["logits"]),
        "input_gradient": relative(slope, tensors["input_gradient"]),
        "r1": relative(r1, tensors["r1"]),
    }
    own = dict(discriminator.named_parameters())
    for prefix, total in (("gradnorm", logits.sum()), ("r1_gradnorm", r1.mean())):
        names = [name for name in stored if f"{prefix}.{name}" in tensors]
        assert names
        ours = [own[renamed(discriminator, name)] for name in names]
        gradients = torch.autograd.grad(
            total, ours, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        for name, gradient in zip(names, gradients, strict=True):
            expected = tensors[f"{prefix}.{name}"]
            differences[f"{prefix}.{name}"] = relative(gradient.norm(), expected)
    check(differences, 1e-9, record_property)
