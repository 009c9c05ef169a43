"""Random numbers for a batch that several processes share."""

from collections.abc import Callable

import torch
from torch import Tensor, distributed, nn


def own_rows(draw: Callable[[int], Tensor], num: int) -> Tensor:
    """Draw for the batch of all processes and return this process's rows.

    Training seeds torch's generators alike in all processes, so image i of the batch gets the same
    numbers however many processes share it, and no two images get the same ones. Where an iteration
    has several micro-batches, that holds for what is drawn for all of them at once (latents).

    Args:
        draw: maps a number of images n to what is drawn for them, [n ...].
        num: images of this process; those of process 0 come first.

    Returns:
        [num ...].
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return draw(num)
    start = distributed.get_rank() * num
    return draw(num * distributed.get_world_size())[start : start + num]


class Dropout(nn.Dropout):
    """Dropout with the same mask for image i however many processes share the batch: `own_rows`."""

    def forward(self, input: Tensor) -> Tensor:
        """Set entries of input [B ...] to 0 with probability p and scale the others up."""
        if not self.training or self.p == 0:
            return input
        rest, device = input.shape[1:], input.device
        draw = own_rows(lambda n: torch.rand(n, *rest, device=device), len(input))
        return input * (draw >= self.p) / (1 - self.p)
