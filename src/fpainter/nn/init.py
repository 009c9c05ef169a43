"""Initialisers, each with the bound it draws from."""

import math

from torch import nn


def uniform_(module: nn.Module, fan: int, gain: float = 1.0) -> None:
    """Fill every parameter of `module` from U(-gain/sqrt(fan), gain/sqrt(fan)), biases too.

    Args:
        module: changed in place.
        fan: the size that sets the bound, positive.
        gain: factor on the bound.
    """
    bound = gain / math.sqrt(fan)
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -bound, bound)


def kaiming_(module: nn.Module) -> None:
    """Fill the weights of convolutions and linear layers from N(0, 2 / fan_in); biases stay.

    Meant for ``module.apply(kaiming_)``.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, a=0.0, mode="fan_in", nonlinearity="leaky_relu")
