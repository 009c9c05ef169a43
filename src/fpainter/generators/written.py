"""A painter without a slow net: what it would write is a table of numbers to be optimised."""

import torch
from torch import Tensor, nn

from fpainter.generators.instruction_head import InstructionHead
from fpainter.generators.learning_rules import LearningRule
from fpainter.generators.painter import FastWeightPainter
from fpainter.nn.sizes import check_whole, is_whole


class WrittenNumbers(nn.Module):
    """An input generator that looks up what is written: ``x = sum_n z_n numbers_n``.

    The unit vector e_n is the latent of picture n, and what lies between two of them mixes their
    instructions. All pictures begin with the same numbers, drawn from N(0, gain²), so none
    depends on which others are there.

    Args:
        num_pictures: pictures N, the size of the latent.
        num_steps: painting steps T.
        d_input: numbers written at each step.
        gain: standard deviation of the first numbers.
        seed: of the first numbers.

    Raises:
        ValueError: if there is no step.
    """

    def __init__(
        self, num_pictures: int, num_steps: int, d_input: int, gain: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__()
        check_whole("num_steps", num_steps)
        self.d_latent = num_pictures
        self.num_steps = num_steps
        self.d_input = d_input
        random = torch.Generator().manual_seed(seed)
        first = gain * torch.randn(num_steps, d_input, generator=random)
        self.numbers = nn.Parameter(first.repeat(num_pictures, 1, 1))

    def forward(self, z: Tensor) -> Tensor:
        """Map z [B N] to the numbers of all steps [B T d_input]."""
        return torch.einsum("bn,ntd->btd", z, self.numbers)


class PassOn(nn.Module):
    """A sequence processor that hands its inputs on as they are.

    Args:
        d_hidden: size of a step's input and of the hidden state.
    """

    def __init__(self, d_hidden: int) -> None:
        super().__init__()
        self.d_input = self.d_hidden = d_hidden

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Return x [B T d_hidden]; z is not read."""
        del z
        return x


def written_painter(
    num_pictures: int,
    num_steps: int,
    head: InstructionHead,
    learning_rule: LearningRule,
    output_activation: str = "identity",
    gain: float = 1.0,
    seed: int = 0,
) -> FastWeightPainter:
    """Return a painter whose only parameters are the numbers that a slow net would write.

    Args:
        num_pictures: pictures N; e_n is the latent of picture n.
        num_steps: painting steps T.
        head: reads the numbers; its layers, which would write them, are taken away.
        learning_rule: instructions, canvas -> factors.
        output_activation: as for `FastWeightPainter`.
        gain: standard deviation of the first numbers.
        seed: of the first numbers.

    Raises:
        ValueError: if an option is unknown or out of range.
    """
    if not is_whole(num_steps) or num_steps % head.strokes:
        raise ValueError(
            f"num_steps must be a multiple of {head.strokes}, at least that; got {num_steps}"
        )
    orders = num_steps // head.strokes
    head.d_hidden = written = sum(head.sizes)
    for layer in ("widen", "to_instructions"):
        head.add_module(layer, nn.Identity())
    return FastWeightPainter(
        num_steps=orders,
        d_latent=num_pictures,
        d_hidden=written,
        image_size=head.image_size,
        channels=head.channels,
        input_generator=WrittenNumbers(num_pictures, orders, written, gain, seed),
        sequence_processor=PassOn(written),
        head=head,
        learning_rule=learning_rule,
        output_activation=output_activation,
    )
