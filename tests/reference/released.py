"""Our modules for the vectors of the released code, built as its user would build them."""

import json
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from fpainter.checkpoints.legacy.arguments import DEFAULTS, translate
from fpainter.checkpoints.legacy.checkpoint import Original, load_weights
from fpainter.checkpoints.legacy.names import is_dropped
from fpainter.generators import lightgan
from fpainter.generators.instruction_head import InstructionHead
from fpainter.tasks.import_legacy import compose
from fpainter.training.gan_module import GANModule

# The vectors name some options as the constructors do and not as the command line.
ARGUMENT_OF = {
    "dim_feedforward": "ff_dim",
    "use_pre_unet_loss": "pre_unet_loss",
    "lr": "learning_rate",
    "gradient_accumulate_every": "grad_cummulate_every",
}


def read(path: Path) -> tuple[dict, dict[str, Tensor], dict[str, Tensor]]:
    """Return the description, all tensors and, of these, the weights by the original's names."""
    with safe_open(path, "pt") as file:
        meta = json.loads(file.metadata()["meta"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return meta, tensors, part(tensors, "param.")


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin so, without second names and constants."""
    named = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    return {name: tensor for name, tensor in named.items() if not is_dropped(name)}


def build(
    model_type: str, options: dict[str, Any], tmp_path: Path, **tensors: dict[str, Tensor]
) -> tuple[GANModule, dict[str, Any]]:
    """Build a module from the original's options, by way of its arguments and our configs.

    Args:
        model_type: of the original.
        options: by the names that its constructors or its command line give them.
        tmp_path: the run directory.
        tensors: weights of ``generator``, ``generator_ema`` and ``discriminator``.

    Returns:
        The module and the original's arguments.
    """
    args = DEFAULTS | {"model_type": model_type, "scale_intermed_loss": True}
    args |= {"grad_cummulate_every": 1}
    args |= {ARGUMENT_OF.get(name, name): value for name, value in options.items()}
    module: GANModule = hydra.utils.instantiate(compose(translate(args), tmp_path)["model"])
    load_weights(module, Original(tensors, {}), args, "args.txt")
    if model_type == "lstm_sum" and options.get("use_softmax"):
        # The vectors have a softmax that the command line cannot give to this type.
        head = module.generator.get_submodule("head")
        assert isinstance(head, InstructionHead)
        key, *others = head.orders
        head.orders = (key._replace(activation="softmax"), *others)
    return module, args


def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take out the noise of the baseline's generator, without which the vectors were made."""
    monkeypatch.setattr(lightgan, "draw_noise", lambda x, sources: torch.zeros_like(x[:, :1]))


def relative(got: Tensor, expected: Tensor, floor: float = 1e-12) -> float:
    """Return the largest difference over the largest expected value, or over a floor."""
    got, expected = got.detach(), expected.detach().reshape(got.shape)
    return float((got - expected).abs().max() / expected.abs().max().clamp_min(floor))
