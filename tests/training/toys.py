"""A painter and a discriminator small enough to train in milliseconds."""

from typing import Any

import torch

from fpainter.discriminators.convolutional import ConvolutionalDiscriminator
from fpainter.generators.input_generators import ProjectLatent
from fpainter.generators.instruction_head import InstructionHead
from fpainter.generators.learning_rules import DeltaRule
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.sequence_processors import LSTMProcessor
from fpainter.losses.adversarial import Hinge
from fpainter.losses.regularisers import UnitGradient
from fpainter.training.ema import WarmupEMA
from fpainter.training.gan_module import GANModule

SIZE, STEPS, D_LATENT = 8, 4, 5


def painter(size: int | tuple[int, int] = SIZE, **options: Any) -> FastWeightPainter:
    return FastWeightPainter(
        STEPS,
        D_LATENT,
        6,
        size,
        3,
        ProjectLatent(D_LATENT, STEPS, 2, 3),
        LSTMProcessor(3, 6, 1, D_LATENT),
        InstructionHead(6, size),
        DeltaRule(),
        **options,
    )


def gan(**options: Any) -> GANModule:
    """Build the same module each time; options override the constructor's arguments."""
    torch.manual_seed(1)
    return GANModule(
        **{
            "generator": painter(),
            "discriminator": ConvolutionalDiscriminator(SIZE, widths=(4, 6), group_size=1),
            "loss": Hinge(),
            "generator_optimiser": lambda p: torch.optim.Adam(p, lr=1e-3, betas=(0.5, 0.9)),
            "discriminator_optimiser": lambda p: torch.optim.Adam(p, lr=1e-3, betas=(0.5, 0.9)),
            "ema": WarmupEMA(0.9),
            "regulariser": UnitGradient(weight=1.0, every=2),
            **options,
        }
    )
