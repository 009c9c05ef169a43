"""The colours that the channels of a canvas stand for."""

import torch
from torch import Tensor

NAMES: dict[str, dict[int, tuple[str, ...]]] = {
    "rgb": {1: ("grey",), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")},
    "opponent": {3: ("light", "red-blue", "magenta-green")},
}


def channel_names(colours: str, channels: int) -> tuple[str, ...]:
    """Return what the channels of a canvas stand for.

    Raises:
        ValueError: if there is no such choice of colours for that many channels.
    """
    if colours not in NAMES or channels not in NAMES[colours]:
        raise ValueError(f"colours={colours!r} are not known for {channels} channels")
    return NAMES[colours][channels]


def to_rgb(canvas: Tensor, colours: str = "opponent") -> Tensor:
    """Turn a canvas [... C H W] into red, green and blue, by a rotation; one in them stays.

    The first of the opponent colours is light, ``(r + g + b) / sqrt(3)``; the others are what
    differs between colours, ``(r - b) / sqrt(2)`` and ``(r - 2g + b) / sqrt(6)``.
    """
    if colours == "rgb":
        return canvas
    light, warm, magenta = canvas.unbind(-3)
    light, warm, magenta = light / 3**0.5, warm / 2**0.5, magenta / 6**0.5
    return torch.stack(
        [light + warm + magenta, light - 2 * magenta, light - warm + magenta], dim=-3
    )


def from_rgb(image: Tensor, colours: str = "opponent") -> Tensor:
    """Turn red, green and blue [... C H W] into a canvas, the inverse of `to_rgb`."""
    if colours == "rgb":
        return image
    r, g, b = image.unbind(-3)
    return torch.stack([(r + g + b) / 3**0.5, (r - b) / 2**0.5, (r - 2 * g + b) / 6**0.5], dim=-3)
