"""Keeping an operation in full precision under mixed-precision training."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Run a function outside autocast, its half-precision tensors widened to float32.

    Painting adds up many small corrections, for which eight bits of mantissa do not suffice, and
    triangular systems cannot be solved in half precision at all. Other precisions stay as they are.
    """

    @functools.wraps(function)
    def widened(*args: P.args, **kwargs: P.kwargs) -> R:
        tensors = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, Tensor)]
        with torch.autocast(tensors[0].device.type, enabled=False):
            return function(
                *(widen(arg) for arg in args),
                **{name: widen(arg) for name, arg in kwargs.items()},
            )

    return widened


def widen(value: Any) -> Any:
    """Return a half-precision tensor as float32, anything else as it is."""
    half = isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16)
    return value.float() if half else value
