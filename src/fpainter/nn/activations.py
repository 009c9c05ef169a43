"""What configs choose by name, such as activations."""

from collections.abc import Callable, Collection

import torch
import torch.nn.functional as F
from torch import Tensor

# Softmax and unit (the vector over its length) are those of the last axis; the others act on each
# entry.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "softmax": lambda x: x.softmax(dim=-1),
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
