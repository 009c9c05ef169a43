"""Random numbers for augmentation: one for each image, from torch's global generator."""

import torch
from torch import Tensor

from fpainter.nn.noise import own_rows

# x [B ...] tells how many images there are, and on which device; what is drawn is [B 1 1 1].


def uniform(x: Tensor, low: float, high: float) -> Tensor:
    """Draw a real number in [low, high), of the dtype of x, for each image of x."""
    draw = own_rows(lambda n: torch.rand(n, 1, 1, 1, dtype=x.dtype, device=x.device), len(x))
    return low + (high - low) * draw


def normal(x: Tensor) -> Tensor:
    """Draw a number from N(0, 1), of the dtype of x, for each image of x."""
    return own_rows(lambda n: torch.randn(n, 1, 1, 1, dtype=x.dtype, device=x.device), len(x))


def integer(x: Tensor, low: int, high: int) -> Tensor:
    """Draw an integer from low to high, both included, for each image of x."""
    return own_rows(lambda n: torch.randint(low, high + 1, (n, 1, 1, 1), device=x.device), len(x))


def choice(x: Tensor, probability: float | Tensor) -> Tensor:
    """Draw true with the probability, a number or a scalar tensor, for each image of x."""
    return own_rows(lambda n: torch.rand(n, 1, 1, 1, device=x.device), len(x)) < probability
