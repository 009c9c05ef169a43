"""Convolution whose second derivative costs as little as its first.

A convolution ``y = w * x`` is bilinear, and so are its two gradients; the three maps

    convolve(x, w) -> y      input_gradient(y, w) -> x      weight_gradient(x, y) -> w

are each other's derivatives. Written so, all derivatives of all orders run through the fast
kernels of the first. torch's own second derivative convolves with the batch in the place of the
channels instead, and group after group: several times slower on a CPU.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function


class _Geometry(NamedTuple):
    stride: int
    padding: int
    groups: int


def _derivative(x: Tensor, w: Tensor, y: Tensor, geometry: _Geometry, of_weight: bool) -> Tensor:
    """Return the gradient y · (w * x) with respect to x or w; of that one only the shape counts."""
    stride, padding, groups = geometry
    sizes = [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], groups
    wanted = [not of_weight, of_weight, False]
    dtype = y.dtype
    if groups > 1 and stride > 1 and y.device.type == "cpu":
        # On CPUs this one takes fifteen times as long in bfloat16 as in float32.
        y, x, w = (each.to(torch.promote_types(dtype, torch.float32)) for each in (y, x, w))
    return torch.ops.aten.convolution_backward(y, x, w, None, *sizes, wanted)[of_weight].to(dtype)


def _in_layout_of(x: Tensor, g: Tensor) -> Tensor:
    """Bring g into the memory layout of x once, not in each of its two uses."""
    last = x.is_contiguous(memory_format=torch.channels_last)
    return g.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


class _Convolve(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, bias: Tensor | None, geometry: _Geometry) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.geometry = geometry
        return F.conv2d(x, w, bias, geometry.stride, geometry.padding, 1, geometry.groups)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (x, w), (g,) = ctx.saved_tensors, gradients
        g = _in_layout_of(x, g)
        needs_x, needs_w, needs_bias, _ = ctx.needs_input_grad
        return (
            _InputGradient.apply(g, w, x, ctx.geometry) if needs_x else None,
            _WeightGradient.apply(x, g, w, ctx.geometry) if needs_w else None,
            g.sum(dim=(0, 2, 3)) if needs_bias else None,
            None,
        )


class _InputGradient(Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, w: Tensor, like: Tensor, geometry: _Geometry) -> Tensor:
        ctx.save_for_backward(y, w)
        ctx.geometry = geometry
        return _derivative(like, w, y, geometry, of_weight=False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (y, w), (g,) = ctx.saved_tensors, gradients
        needs_y, needs_w, _, _ = ctx.needs_input_grad
        return (
            _Convolve.apply(g, w, None, ctx.geometry) if needs_y else None,
            _WeightGradient.apply(g, y, w, ctx.geometry) if needs_w else None,
            None,
            None,
        )


class _WeightGradient(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, like: Tensor, geometry: _Geometry) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.geometry = geometry
        return _derivative(x, like, y, geometry, of_weight=True)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (x, y), (g,) = ctx.saved_tensors, gradients
        needs_x, needs_y, _, _ = ctx.needs_input_grad
        return (
            _InputGradient.apply(y, g, x, ctx.geometry) if needs_x else None,
            _Convolve.apply(x, g, None, ctx.geometry) if needs_y else None,
            None,
            None,
        )


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> Tensor:
    """Convolve maps x [B c_in H W] with a kernel [c_out c_in/groups h w], as torch does.

    Args:
        x: maps.
        weight: the kernel.
        bias: [c_out], or None.
        stride: in both directions.
        padding: zeros on each side.
        groups: of channels.

    Returns:
        [B c_out H' W'].
    """
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    return _Convolve.apply(x, weight, bias, _Geometry(stride, padding, groups))


def conv_transpose2d(
    y: Tensor, weight: Tensor, stride: int = 1, padding: int = 0, groups: int = 1
) -> Tensor:
    """Apply the transpose of `conv2d`, as torch's function of this name does.

    Args:
        y: maps [B c_out H W].
        weight: the kernel [c_out c_in/groups h w] of the convolution that is transposed.
        stride: of that convolution.
        padding: of that convolution.
        groups: of channels.

    Returns:
        [B c_in H' W'] with ``H' = (H - 1) * stride - 2 * padding + h``.
    """
    if torch.is_autocast_enabled(y.device.type):
        dtype = torch.get_autocast_dtype(y.device.type)
        y, weight = y.to(dtype), weight.to(dtype)
    sides = [
        (side - 1) * stride - 2 * padding + kernel
        for side, kernel in zip(y.shape[2:], weight.shape[2:], strict=True)
    ]
    like = y.new_empty(len(y), weight.shape[1] * groups, *sides)  # of which only the shape counts
    return _InputGradient.apply(y, weight, like, _Geometry(stride, padding, groups))
