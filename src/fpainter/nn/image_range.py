"""Between bytes and the range a model works in."""

import torch
from torch import Tensor

from fpainter.nn.activations import check_choice

RANGES = {"unit": (0.0, 1.0), "signed": (-1.0, 1.0)}


class ImageRange:
    """A named range of image values and its map to and from bytes.

    Args:
        name: ``unit`` [0, 1] or ``signed`` [-1, 1].

    Raises:
        ValueError: if the name is unknown.
    """

    def __init__(self, name: str) -> None:
        self.name = check_choice("image_range", name, RANGES)
        self.low, self.high = RANGES[name]

    def from_bytes(self, images: Tensor) -> Tensor:
        """Map uint8 [...] to floats in the range."""
        scale = (self.high - self.low) / 255
        return images.to(torch.get_default_dtype()) * scale + self.low

    def to_unit(self, images: Tensor) -> Tensor:
        """Map the range to [0, 1], and what lies outside along with it, [...]."""
        return (images - self.low) / (self.high - self.low)

    def to_bytes(self, images: Tensor) -> Tensor:
        """Clamp to the range and round to uint8, [...]."""
        return self.to_unit(images).clamp(0, 1).mul(255).round().to(torch.uint8)
