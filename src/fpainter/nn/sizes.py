"""Numbers and sizes as configs and files give them: whole numbers, images, weights."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # commands answer mistakes about sizes before they bring torch
    from torch import Tensor


def is_whole(value: Any, least: int = 1) -> bool:
    """Say whether a value, of whatever kind, is a whole number and at least `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def check_whole(name: str, value: Any) -> None:
    """Refuse a value, of whatever kind, that is no whole number of at least 1.

    Raises:
        ValueError: if it is none; with its name.
    """
    if not is_whole(value):
        raise ValueError(f"{name} must be at least 1, a whole number; got {value}")


def check_number(name: str, value: Any, zero: bool = False) -> None:
    """Refuse a value, of whatever kind, that is no finite number above 0.

    Args:
        name: of the value, for the message.
        value: to be checked.
        zero: allow 0, too.

    Raises:
        ValueError: if it is none.
    """
    if type(value) in (int, float) and (0 < value < float("inf") or (zero and value == 0)):
        return
    raise ValueError(
        f"{name} must be a number {'of 0 or more' if zero else 'above 0'}; got {value}"
    )


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
    problem = (
        "image_size must be a whole number or [height,width], such as 64 or [64,96]; "
        f"got {image_size!r}"
    )
    if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
        raise ValueError(problem)
    height, width = pair
    if not (is_whole(height) and is_whole(width)):
        raise ValueError(problem)
    return height, width


def first_map(image_size: int | Sequence[int]) -> tuple[int, int, int]:
    """Return height and width of the smallest map, and how often it is doubled to the image.

    Args:
        image_size: side, or (H, W).

    Raises:
        ValueError: if the image cannot be reached by doubling.
    """
    height, width = as_size(image_size)
    num_stages = min(height, width).bit_length() - 3
    scale = 2 ** max(num_stages, 0)
    if num_stages < 1 or height % scale or width % scale:
        raise ValueError(
            "image_size must be at least 8 and halve evenly until the shorter side has 4 to 7 "
            f"pixels; got {height}×{width}"
        )
    return height // scale, width // scale, num_stages


def check_side(name: str, side: int | None) -> int | None:
    """Return the nominal side of maps, a power of two from 4 on, or None.

    Raises:
        ValueError: if it is anything else.
    """
    if side is not None and not (is_whole(side, 4) and side.bit_count() == 1):
        raise ValueError(f"{name} must be a power of two, at least 4, or null; got {side!r}")
    return side


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


def stage_width(side: int, channel_base: int | None, channel_max: int, image_side: int) -> int:
    """Return the channels of maps of StyleGAN2's size, ``min(channel_base / side, channel_max)``.

    Args:
        side: of the maps, a power of two.
        channel_base: None: 32,768 for images from 512 pixels up, half of it for smaller ones.
        channel_max: upper bound.
        image_side: the shorter side of the image.

    Raises:
        ValueError: if no channel would be left.
    """
    base = channel_base or (32_768 if image_side >= 512 else 16_384)
    width = min(base // side, channel_max)
    if width < 1:
        raise ValueError(
            f"channel_base {base} and channel_max {channel_max} leave no channel at {side} pixels"
        )
    return width
