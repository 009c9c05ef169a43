"""The U-Net painters compute what the released code computes: its vectors, in float64."""

from pathlib import Path

import pytest
import torch

from tests.conftest import golden_files
from tests.reference import released, released_unet
from tests.test_golden import read, relative

pytestmark = [pytest.mark.golden, pytest.mark.usefixtures("float64")]


def painter_files() -> list[Path]:
    files = golden_files("generator")
    return [path for path in files if read(path)[0]["model_type"] in released_unet.PAINTERS]


@pytest.mark.parametrize("path", painter_files(), ids=lambda path: path.stem)
def test_unet_painter(path: Path) -> None:
    meta, tensors, parameters = read(path)
    call = dict(meta["call"])
    painter = released_unet.painter(
        meta["model_type"], meta["kwargs"], call.pop("use_pre_unet_loss", False)
    )
    assert not call, "an option that this test does not know"
    ours = {
        name: released_unet.painter_name(name)
        for name in parameters
        if not released_unet.is_alias(name)
    }
    released.load(painter, {ours[name]: parameters[name] for name in ours})
    z = tensors["z"].double().requires_grad_()
    images, _ = painter.fakes(z)
    assert relative(images, tensors["image"]) < 1e-9
    if painter.supervision.before_refiner:
        before, after = tensors["image"].chunk(2)
        assert relative(painter(z), after) < 1e-9
        assert relative(painter.unrefined(z), before) < 1e-9
    own = dict(painter.named_parameters())
    gradients = torch.autograd.grad(
        (images * tensors["weight"]).sum(), [z, *(own[name] for name in ours.values())]
    )
    for name, gradient in zip(["z", *ours], gradients, strict=True):
        expected = tensors[f"grad.{name}"].reshape(gradient.shape)
        assert relative(gradient, expected) < 1e-9, name
