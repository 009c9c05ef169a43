"""Image sizes as configs give them."""

from collections.abc import Sequence
from typing import Any


def as_size(image_size: int | Sequence[int]) -> tuple[int, int]:
    """Read an image size as (height, width).

    Args:
        image_size: One positive int for a square, or two as [height, width] (a list, a tuple or
            an omegaconf `ListConfig`).

    Returns:
        (height, width), both positive.

    Raises:
        ValueError: If it is anything else.
    """
    pair: Any = (image_size, image_size) if isinstance(image_size, int) else image_size
    problem = f"image_size must be a positive int or [height, width], got {image_size!r}"
    if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
        raise ValueError(problem)
    height, width = pair
    for side in (height, width):
        if isinstance(side, bool) or not isinstance(side, int) or side <= 0:
            raise ValueError(problem)
    return height, width
