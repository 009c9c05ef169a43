"""Small painters whose pages are tested, and what is on them."""

import base64
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fpainter.generators.canvas import LearnedCanvas
from fpainter.generators.input_generators import RepeatLatent
from fpainter.generators.instruction_head import InstructionHead
from fpainter.generators.learning_rules import DeltaRule, LearningRule
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.refiners import UNetRefiner
from fpainter.generators.sampler import Sampler
from fpainter.generators.sequence_processors import LSTMProcessor
from fpainter.nn.image_range import ImageRange

T, HEIGHT, WIDTH = 7, 8, 12


def sampler(
    rule: LearningRule | None = None, image_range: str = "signed", channels: int = 3,
    activation: str = "tanh", learned: bool = False, refined: bool = False, **head: Any,
) -> Sampler:  # fmt: skip
    """Build a painter with strong strokes, so that errors would show."""
    size = (HEIGHT, WIDTH)
    painter = FastWeightPainter(
        num_steps=T, d_latent=4, d_hidden=16, image_size=size, channels=channels,
        input_generator=RepeatLatent(d_latent=4, num_steps=T),
        sequence_processor=LSTMProcessor(4, 16, num_layers=1, d_latent=4),
        head=InstructionHead(16, size, channels, rule, gain=20.0, **head),
        learning_rule=rule or DeltaRule(),
        canvas=LearnedCanvas(size, channels) if learned else None,
        refiner=UNetRefiner(size, channels, width=4, num_groups=2) if refined else None,
        output_activation=activation,
    )  # fmt: skip
    return Sampler(painter, ImageRange(image_range))


def latents() -> Tensor:
    return torch.randn(3, 4)


def unpacked(text: str, size: int) -> Tensor:
    """Twin of the page's `unpack`."""
    read = base64.b64decode(text)
    if size == 1:
        return torch.from_numpy(np.frombuffer(read, "<f4").copy())[:, None]
    count = len(read) // (4 + 2 * size)
    scales = np.frombuffer(read, "<f4", count)
    entries = np.frombuffer(read, "<i2", offset=4 * count).reshape(count, size)
    return torch.from_numpy(entries * scales[:, None])
