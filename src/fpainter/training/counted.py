"""What a run has measured so far, beside its weights, such as how much augmentation it needs."""

from collections.abc import Mapping

from torch import Tensor

COUNTED = ("augment.", "phases.")  # how its names in a module begin


def counted(own: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what a stored state has measured that a module's own state has a place for."""
    return {
        name: stored[name]
        for name, tensor in own.items()
        if name.startswith(COUNTED) and name in stored and stored[name].shape == tensor.shape
    }
