"""Element-wise activations by the name that configs use."""

from collections.abc import Callable

import torch
from torch import Tensor

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "softmax": lambda x: x.softmax(dim=-1),
    "tanh": torch.tanh,
}


def check_activation(argument: str, name: str) -> str:
    """Return `name` if it is an activation, else say which there are.

    Args:
        argument: the constructor argument that carried the name, for the message.
        name: one of ``identity``, ``relu``, ``sigmoid``, ``softmax`` (last axis), ``tanh``.

    Raises:
        ValueError: if the name is unknown.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"{argument} must be one of {sorted(ACTIVATIONS)}; got {name!r}")
    return name
