"""Changes of where an image's pixels are, all at once: one interpolation however many there are.

A change maps places [B 2 H W] to the places that their values are taken from. Places are
(row, column) in pixels, counted from the middle of the image.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from fpainter.augmentation.draws import choice, normal, uniform

LOG_SCALE = 0.2 * math.log(2)  # standard deviation of a scale's logarithm
SHIFT = 1 / 8  # standard deviation, as a share of a side


def places(x: Tensor) -> Tensor:
    """Return where the pixels of x [B C H W] are, [B 2 H W], at least in float32."""
    height, width = x.shape[2:]
    dtype = torch.promote_types(x.dtype, torch.float32)
    rows = torch.arange(height, device=x.device, dtype=dtype) - (height - 1) / 2
    columns = torch.arange(width, device=x.device, dtype=dtype) - (width - 1) / 2
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij")).expand(len(x), -1, -1, -1)


def mirror(p: Tensor) -> Tensor:
    """Mirror horizontally with probability 1/2."""
    rows, columns = p.split(1, dim=1)
    return torch.cat([rows, torch.where(choice(p, 0.5), -columns, columns)], dim=1)


def scale(p: Tensor) -> Tensor:
    """Enlarge by ``2^N(0, 0.2)`` about the middle."""
    return p * (-LOG_SCALE * normal(p)).exp()


def stretch(p: Tensor) -> Tensor:
    """Stretch vertically by ``2^N(0, 0.2)`` and shrink horizontally by the same."""
    rows, columns = p.split(1, dim=1)
    factor = (LOG_SCALE * normal(p)).exp()
    return torch.cat([rows / factor, columns * factor], dim=1)


def shift(p: Tensor) -> Tensor:
    """Shift by N(0, 1/8) of each side, also by fractions of a pixel."""
    height, width = p.shape[2:]
    rows, columns = p.split(1, dim=1)
    rows = rows - SHIFT * height * normal(p)
    return torch.cat([rows, columns - SHIFT * width * normal(p)], dim=1)


def rotation(p: Tensor) -> Tensor:
    """Rotate about the middle by any angle."""
    rows, columns = p.split(1, dim=1)
    angle = uniform(p, -math.pi, math.pi)
    sine, cosine = angle.sin(), angle.cos()
    return torch.cat([cosine * rows - sine * columns, sine * rows + cosine * columns], dim=1)


GEOMETRY: dict[str, Callable[[Tensor], Tensor]] = {
    change.__name__: change for change in (mirror, scale, stretch, shift, rotation)
}


def warp(x: Tensor, p: Tensor) -> Tensor:
    """Take each pixel's value from another place, between four pixels by bilinear interpolation.

    Beyond its borders an image goes on as its mirror image. The derivative in x is linear in what
    comes from above, so that there is a second one, which ``grid_sample`` lacks on a CPU.

    Args:
        x: images [B C H W].
        p: places [B 2 H W].

    Returns:
        [B C H W] of the dtype of x; where a place is a pixel's, exactly the pixel.
    """
    height, width = x.shape[2:]
    rows, columns = p.split(1, dim=1)
    rows, columns = rows + (height - 1) / 2, columns + (width - 1) / 2  # [B 1 H W], from the corner
    rest_down, rest_right = rows - rows.floor(), columns - columns.floor()  # in [0, 1)
    top, left = rows.floor().long(), columns.floor().long()
    indices, weights = [], []
    for down, share_down in enumerate((1 - rest_down, rest_down)):
        for right, share_right in enumerate((1 - rest_right, rest_right)):
            index = _reflected(top + down, height) * width + _reflected(left + right, width)
            indices.append(index.flatten(2))
            weights.append((share_down * share_right).flatten(2))
    taken = x.flatten(2).take_along_dim(torch.cat(indices, dim=2), dim=2)  # [B C 4·H·W]
    weighted = taken * torch.cat(weights, dim=2).to(x.dtype)
    return weighted.unflatten(2, (4, height, width)).sum(dim=2, dtype=x.dtype)


def _reflected(index: Tensor, size: int) -> Tensor:
    index = index.remainder(2 * size)
    return torch.minimum(index, 2 * size - 1 - index)
