"""Sizes as configs and files give them: whole numbers, images, weights."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # commands answer mistakes about sizes before they bring torch
    from torch import Tensor


def is_whole(value: Any, least: int = 1) -> bool:
    """Say whether a value, of whatever kind, is a whole number and at least `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def as_size(image_size: int | Sequence[int]) -> tuple[int, int]:
    """Read an image size as (height, width).

    Args:
        image_size: one positive int for a square, or two as [height, width] (a list, a tuple or
            an omegaconf `ListConfig`).

    Returns:
        (height, width), both positive.

    Raises:
        ValueError: if it is anything else.
    """
    pair: Any = (image_size, image_size) if isinstance(image_size, int) else image_size
    problem = f"image_size must be a positive int or [height, width], got {image_size!r}"
    if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
        raise ValueError(problem)
    height, width = pair
    if not (is_whole(height) and is_whole(width)):
        raise ValueError(problem)
    return height, width


def first_misfit(plan: "Mapping[str, Tensor]", state: "Mapping[str, Tensor]") -> str | None:
    """Return the first name that only one of two states has or that has two shapes; None if none.

    Args:
        plan: the state of a module, perhaps without memory.
        state: what shall be loaded into it.
    """
    for name in {**plan, **state}:
        if name not in plan or name not in state or plan[name].shape != state[name].shape:
            return name
    return None


def shape_text(tensor: "Tensor") -> str:
    """Say a tensor's shape to people, such as ``3×64``."""
    return "×".join(map(str, tensor.shape)) or "a number"


def size_text(size: Sequence[int]) -> str:
    """Say an image size (height, width) to people, such as ``64×48``."""
    return "×".join(map(str, size))
