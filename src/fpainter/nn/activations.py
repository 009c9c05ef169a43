"""What configs choose by name, such as activations."""

from collections.abc import Callable, Collection

import torch
import torch.nn.functional as F
from torch import Tensor

FASTEST_FADE = 1.3  # of logarithms: 64 steps come to e^-83, which single precision still holds

# Softmax and unit (the vector over its length) are those of the last axis; the others act on each
# entry. A fade is the logarithm of what a step leaves; it begins at 81 % after 64 steps. A low
# sigmoid begins at 12 %.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "double_sigmoid": lambda x: 2 * torch.sigmoid(x),
    "fade": lambda x: -FASTEST_FADE * torch.sigmoid(x - 6),
    "from_one": lambda x: 1 + x,
    "identity": lambda x: x,
    "low_sigmoid": lambda x: torch.sigmoid(x - 2),
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "softmax": lambda x: x.softmax(dim=-1),
    "softplus": F.softplus,
    "tanh": torch.tanh,
    "unit": lambda x: F.normalize(x, dim=-1),
}


def check_choice(argument: str, name: str, choices: Collection[str] = ACTIVATIONS) -> str:
    """Return `name` if it is one of the choices, else say which there are.

    Args:
        argument: the constructor argument that carried the name, for the message.
        name: what was chosen.
        choices: what there is to choose from.

    Raises:
        ValueError: if the name is unknown.
    """
    if name not in choices:
        raise ValueError(f"{argument} must be one of {sorted(choices)}; got {name!r}")
    return name
