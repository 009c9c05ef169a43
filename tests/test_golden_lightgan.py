"""Our baseline generator computes what the released code's computes, in float64."""

from pathlib import Path

import pytest
import torch

from fpainter.generators import lightgan
from tests.conftest import golden_files
from tests.reference import released, released_lightgan
from tests.test_golden import read, relative

pytestmark = [pytest.mark.golden, pytest.mark.usefixtures("float64")]

FILES = [path for path in golden_files("generator") if path.stem.split("__")[1] == "base"]


def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take out the generator's noise, without which the vectors were made."""
    monkeypatch.setattr(lightgan, "draw_noise", lambda x, sources: torch.zeros_like(x[:, :1]))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_generator(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meta, tensors, stored = read(path)
    generator = released_lightgan.generator(meta["kwargs"]).eval()
    renamed = {released_lightgan.generator_name(name): tensor for name, tensor in stored.items()}
    released.load(generator, renamed)
    silence(monkeypatch)
    z = tensors["z"].requires_grad_()
    image = generator(z)
    assert relative(image, tensors["image"]) < 1e-9
    own = dict(generator.named_parameters())
    names = [name for name in stored if f"grad.{name}" in tensors]
    assert {released_lightgan.generator_name(name) for name in names} == own.keys()
    gradients = torch.autograd.grad(
        (image * tensors["weight"]).sum(),
        [z, *(own[released_lightgan.generator_name(name)] for name in names)],
    )
    for name, gradient in zip(["z", *names], gradients, strict=True):
        expected = tensors[f"grad.{name}"]
        assert relative(gradient.reshape(expected.shape), expected) < 1e-9, name
