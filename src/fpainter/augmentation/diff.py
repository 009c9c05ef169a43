"""Differentiable augmentation of the images a discriminator judges."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from fpainter.augmentation.draws import choice, integer, uniform

# The functions below map images x [B C H W] to augmented ones.


def _rows_and_columns(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the numbers of the rows [1 1 H 1] and of the columns [1 1 1 W] of x."""
    height, width = x.shape[2:]
    rows = torch.arange(height, device=x.device).view(1, 1, height, 1)
    return rows, torch.arange(width, device=x.device).view(1, 1, 1, width)


def color(x: Tensor) -> Tensor:
    """Change brightness, saturation and contrast; all channels are treated alike.

    ``x + U(-1/2, 1/2)``, then the distance from each pixel's mean over channels times U(0, 2),
    then the distance from the image's mean times U(1/2, 3/2).
    """
    x = x + uniform(x, -0.5, 0.5)
    grey = x.mean(dim=1, keepdim=True)  # [B 1 H W]
    x = grey + (x - grey) * uniform(x, 0.0, 2.0)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)  # [B 1 1 1]
    return mean + (x - mean) * uniform(x, 0.5, 1.5)


def translation(x: Tensor) -> Tensor:
    """Shift by at most an eighth of each side (rounded half up); zeros are moved in."""
    height, width = x.shape[2:]
    most_down, most_right = (height + 4) // 8, (width + 4) // 8
    rows, columns = _rows_and_columns(x)
    rows = rows - integer(x, -most_down, most_down)  # [B 1 H 1], where each row comes from
    columns = columns - integer(x, -most_right, most_right)  # [B 1 1 W]
    outside = (rows < 0) | (rows >= height) | (columns < 0) | (columns >= width)
    x = x.take_along_dim(rows % height, dim=2).take_along_dim(columns % width, dim=3)
    return x.masked_fill(outside, 0.0)


def cutout(x: Tensor) -> Tensor:
    """Set a rectangle of half of each side (rounded half up) to zero, clipped at the borders."""
    height, width = x.shape[2:]
    cut_height, cut_width = (height + 1) // 2, (width + 1) // 2
    # The centre of an even rectangle lies between pixels: one more place, so both borders are
    # clipped alike.
    rows, columns = _rows_and_columns(x)
    top = integer(x, 0, height - cut_height % 2) - cut_height // 2
    left = integer(x, 0, width - cut_width % 2) - cut_width // 2
    inside = (rows >= top) & (rows < top + cut_height)
    inside = inside & (columns >= left) & (columns < left + cut_width)
    return x.masked_fill(inside, 0.0)


def offset_h(x: Tensor) -> Tensor:
    """Roll horizontally by any number of pixels."""
    return _roll(x, _rows_and_columns(x)[1], dim=3)


def offset_v(x: Tensor) -> Tensor:
    """Roll vertically by any number of pixels."""
    return _roll(x, _rows_and_columns(x)[0], dim=2)


def _roll(x: Tensor, places: Tensor, dim: int) -> Tensor:
    size = x.shape[dim]
    return x.take_along_dim((places - integer(x, 0, size - 1)) % size, dim)


def offset(x: Tensor) -> Tensor:
    """Roll over both axes, each by any number of pixels."""
    return offset_v(offset_h(x))


TYPES: dict[str, Callable[[Tensor], Tensor]] = {
    change.__name__: change for change in (color, translation, cutout, offset, offset_h, offset_v)
}


class DiffAugment(nn.Module):
    """Augment the images a discriminator judges, real and painted alike, passing gradients on.

    An augmented image is mirrored horizontally with probability 1/2; then each type is applied in
    the order given. Training and evaluation mode are the same: nothing is judged but in training.

    Args:
        types: names out of `TYPES`, at least one.
        probability: of each image to be augmented, independently, in [0, 1].

    Raises:
        ValueError: if there is no type, an unknown one, or the probability lies outside [0, 1].

    Source: Zhao et al. 2020 (differentiable augmentation for data-efficient GAN training); the
    mirroring and the defaults of `types` are the released code's, which draws once for the whole
    batch whether to augment it and whether to mirror it.
    """

    def __init__(
        self, types: Sequence[str] = ("cutout", "translation"), probability: float = 0.5
    ) -> None:
        super().__init__()
        if not types or any(name not in TYPES for name in types):
            raise ValueError(f"types must be one or more of {list(TYPES)}; got {types!r}")
        if not 0 <= probability <= 1:
            raise ValueError(f"probability must lie in [0, 1]; got {probability}")
        self.types = tuple(types)
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Augment x [B C H W]; the shape, dtype and device stay."""
        if self.probability == 0:
            return x
        augmented = torch.where(choice(x, 0.5), x.flip(3), x)
        for name in self.types:
            augmented = TYPES[name](augmented)
        return torch.where(choice(x, self.probability), augmented, x)
