"""State dicts of StyleGAN2 and GANsformer: every tensor has its place or is named."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from fpainter.checkpoints.legacy.baselines import load_plain
from fpainter.errors import UserError
from tests.reference import baselines
from tests.reference.released import part, read

FILE = "golden/baselines/discriminator__stylegan2__skip.safetensors"
PATH = Path(__file__).parents[1] / FILE


@pytest.fixture
def state() -> dict[str, Tensor]:
    _, tensors, stored = read(PATH)
    return stored | part(tensors, "buffer.")


def load(state: dict[str, Tensor]) -> list[str]:
    meta, _, _ = read(PATH)
    return load_plain(baselines.discriminator(meta["kwargs"]), state)


def test_filters_are_left_out_and_named(state: dict[str, Tensor]) -> None:
    assert load(state) == [name for name in state if name.endswith("resample_filter")]


def test_a_tensor_without_a_place(state: dict[str, Tensor]) -> None:
    with pytest.raises(UserError, match=r"mapping\.fc0\.weight has no place"):
        load(state | {"mapping.fc0.weight": torch.zeros(2, 2)})


def test_a_place_without_a_tensor(state: dict[str, Tensor]) -> None:
    del state["b8.conv0.bias"]
    with pytest.raises(UserError, match=r"nothing for blocks\.8\.first\.bias"):
        load(state)


def test_another_size(state: dict[str, Tensor]) -> None:
    state["b4.fc.bias"] = torch.zeros(3)
    with pytest.raises(UserError, match=r"b4\.fc\.bias is 3 there; these settings ask for 24"):
        load(state)
