"""Derivatives that a library's fastest way does not have."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn


def differentiable(module: nn.Module) -> AbstractContextManager[None]:
    """Return a context in which a module has all derivatives, also in evaluation mode.

    cuDNN's recurrent nets have no second ones, and none at all in evaluation mode.
    """
    recurrent = any(isinstance(part, nn.RNNBase) for part in module.modules())
    return torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext()
