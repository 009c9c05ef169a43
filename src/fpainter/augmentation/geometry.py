"""Changes of where an image's pixels are, all at once: one interpolation however many there are.

A change is a matrix [B 3 3] for each image, which maps places (row, column, 1) of the changed image
to those that their values are taken from, in pixels, counted from the middle.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fpainter.augmentation.affine import affine
from fpainter.augmentation.draws import integer, normal, uniform

LOG_SCALE = 0.2 * math.log(2)  # standard deviation of a scale's logarithm
SHIFT = 1 / 8  # of a side: the largest shift by whole pixels, and the standard deviation of others


def mirror(x: Tensor) -> Tensor:
    """Mirror horizontally with probability 1/2."""
    return affine(x, [[1, 0, 0], [0, 1 - 2 * integer(x, 0, 1), 0]])


def quarter_turn(x: Tensor) -> Tensor:
    """Rotate by 0, 90, 180 or 270 degrees about the middle."""
    quarters = integer(x, 0, 3)
    cosine, sine = (quarters == 0).int() - (quarters == 2).int(), 2 - quarters
    sine = sine * (quarters % 2)
    return affine(x, [[cosine, -sine, 0], [sine, cosine, 0]])


def whole_shift(x: Tensor) -> Tensor:
    """Shift by whole pixels, up to an eighth of each side."""
    height, width = x.shape[2:]
    down = (height * uniform(x, -SHIFT, SHIFT)).round()
    return affine(x, [[1, 0, -down], [0, 1, -(width * uniform(x, -SHIFT, SHIFT)).round()]])


def scale(x: Tensor) -> Tensor:
    """Enlarge by ``2^N(0, 0.2)`` about the middle."""
    factor = (-LOG_SCALE * normal(x)).exp()
    return affine(x, [[factor, 0, 0], [0, factor, 0]])


def rotation(x: Tensor) -> Tensor:
    """Rotate about the middle by any angle."""
    angle = uniform(x, -math.pi, math.pi)
    sine, cosine = angle.sin(), angle.cos()
    return affine(x, [[cosine, -sine, 0], [sine, cosine, 0]])


def stretch(x: Tensor) -> Tensor:
    """Stretch vertically by ``2^N(0, 0.2)`` and shrink horizontally by the same."""
    factor = (LOG_SCALE * normal(x)).exp()
    return affine(x, [[1 / factor, 0, 0], [0, factor, 0]])


def shift(x: Tensor) -> Tensor:
    """Shift by N(0, 1/8) of each side, also by fractions of a pixel."""
    height, width = x.shape[2:]
    down = SHIFT * height * normal(x)
    return affine(x, [[1, 0, -down], [0, 1, -SHIFT * width * normal(x)]])


GEOMETRY: dict[str, Callable[[Tensor], Tensor]] = {
    change.__name__: change
    for change in (mirror, quarter_turn, whole_shift, scale, rotation, stretch, shift)
}


def warp(x: Tensor, places: Tensor) -> Tensor:
    """Take each pixel's value from another place, by bicubic interpolation (Keys, a = -3/4).

    Beyond its borders an image goes on as its mirror image. Compared with ideal resampling, at
    scales from 0.8 to 1.25, the error on photographs of 64×64 is 0.5 to 0.7 of bilinear
    interpolation's, and 95 % of the finest detail are left instead of 78 %. What the source does
    besides, resampling at twice the resolution between filters of twelve taps, would take five
    times as long on a CPU.

    Args:
        x: images [B C H W], float32 or float64.
        places: [B 3 3], the matrix of a change.

    Returns:
        [B C H W]; differentiable twice in x.
    """
    height, width = x.shape[2:]
    rows = torch.arange(height, device=x.device, dtype=x.dtype) - (height - 1) / 2
    columns = torch.arange(width, device=x.device, dtype=x.dtype) - (width - 1) / 2
    by_row, by_column, fixed = places[:, :2, :, None, None].unbind(dim=2)  # [B 2 1 1]
    taken = by_row * rows.view(-1, 1) + by_column * columns + fixed  # [B 2 H W]
    # grid_sample wants (column, row), in halves of the sides.
    grid = torch.stack([taken[:, 1] / (width / 2), taken[:, 0] / (height / 2)], dim=3)
    return _Sampled.apply(x, grid)


# `torch.nn.functional.grid_sample`; its last two arguments: reflection; not the corners' middles.
_BICUBIC = (2, 2, False)


class _Sampled(torch.autograd.Function):
    """Sampling, which is linear in the images: the derivative of its adjoint is itself.

    torch has no second derivative of its own, which penalties on D's gradient need.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = x.shape
        return torch.ops.aten.grid_sampler_2d(x, grid, *_BICUBIC)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _Spread.apply(*gradients, *ctx.saved_tensors, ctx.shape), None


class _Spread(torch.autograd.Function):
    """The adjoint of sampling: each value goes back to where it was taken from."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        images = gradient.new_empty(1).expand(shape)  # only its shape counts
        wanted = [True, False]
        return torch.ops.aten.grid_sampler_2d_backward(gradient, images, grid, *_BICUBIC, wanted)[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _Sampled.apply(*gradients, *ctx.saved_tensors), None, None
