"""Each pixel with the pixels around it: what local attention computes, without gathering them.

Three bilinear maps between maps of vectors [B H W N D] and maps of one number per neighbour
[S B H W N], S = (2·radius+1)² neighbours in reading order:

    dot(a, b)[s, y] = a[y] · b[y + s]         weigh(p, a)[y] = sum_s p[s, y] a[y + s]
                                              spread(p, a)[y] = sum_s p[s, y - s] a[y - s]

Pixels beyond the border are zero. The three are each other's derivatives, so that they can be
differentiated as often as one likes; no neighbourhood is ever copied out, and each sum runs over
S shifted views of whole maps.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

_CACHED = 2**20  # entries of a map that fit in a processor's cache, together with one or two others


def _shifts(a: Tensor, radius: int) -> Iterator[tuple[int, Any, Any]]:
    """Yield a neighbour's number, the pixels [B H W] that have it, and those it is.

    On a CPU a few images are finished before the next ones are touched: several times faster,
    because they stay in the cache over all neighbours. Compilers do as they think best.
    """
    batch, height, width = a.shape[:3]
    whole = a.device.type != "cpu" or torch.compiler.is_compiling()
    images = batch if whole else max(1, _CACHED // a[0].numel())
    offsets = list(enumerate(product(range(-radius, radius + 1), repeat=2)))
    offsets.insert(0, offsets.pop(len(offsets) // 2))  # the pixel itself, shifted by nothing
    for start in range(0, batch, images):
        some = slice(start, start + images)
        for number, (down, right) in offsets:
            rows, columns = _overlap(down, height), _overlap(right, width)
            yield number, (some, rows[0], columns[0]), (some, rows[1], columns[1])


def _overlap(shift: int, size: int) -> tuple[slice, slice]:
    low, high = max(0, -shift), max(0, min(size, size - shift))
    return slice(low, high), slice(low + shift, high + shift)


class _Dot(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, radius: int) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.radius = radius
        dots = a.new_zeros((2 * radius + 1) ** 2, *a.shape[:-1])
        for number, here, there in _shifts(a, radius):
            dots[number][here] = (a[here] * b[there]).sum(dim=-1)
        return dots

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (a, b), (gradient,) = ctx.saved_tensors, gradients
        needs_a, needs_b, _ = ctx.needs_input_grad
        return (
            weigh(gradient, b, ctx.radius) if needs_a else None,
            spread(gradient, a, ctx.radius) if needs_b else None,
            None,
        )


class _Weigh(Function):
    """Both `weigh` and its transpose `spread`."""

    @staticmethod
    def forward(ctx: Any, p: Tensor, a: Tensor, radius: int, transposed: bool) -> Tensor:
        ctx.save_for_backward(p, a)
        ctx.options = radius, transposed
        weights, total = p.unsqueeze(-1), torch.empty_like(a)
        for number, here, there in _shifts(a, radius):
            read, written = (here, there) if transposed else (there, here)
            if here == there:  # the pixel itself, which comes first
                torch.mul(weights[number][here], a[read], out=total[written])
            else:
                total[written].addcmul_(weights[number][here], a[read])
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (p, a), (g,), (radius, transposed) = ctx.saved_tensors, gradients, ctx.options
        needs_p, needs_a, _, _ = ctx.needs_input_grad
        first, second = (a, g) if transposed else (g, a)
        return (
            dot(first, second, radius) if needs_p else None,
            _Weigh.apply(p, g, radius, not transposed) if needs_a else None,
            None,
            None,
        )


def dot(a: Tensor, b: Tensor, radius: int = 1) -> Tensor:
    """Return the dot products of each vector of `a` with the neighbours it has in `b`.

    Args:
        a: [B H W N D].
        b: of the same shape and dtype.
        radius: pixels to each side.

    Returns:
        [S B H W N]; 0 for neighbours beyond the border.
    """
    return _Dot.apply(a, b, radius)


def weigh(p: Tensor, a: Tensor, radius: int = 1) -> Tensor:
    """Return the weighted sum of each pixel's neighbours, [B H W N D].

    Args:
        p: weights [S B H W N].
        a: [B H W N D], of the same dtype.
        radius: pixels to each side.
    """
    return _Weigh.apply(p, a, radius, False)


def spread(p: Tensor, a: Tensor, radius: int = 1) -> Tensor:
    """Add each vector to its neighbours, weighted: the transpose of `weigh`, [B H W N D].

    Args:
        p: weights [S B H W N].
        a: [B H W N D], of the same dtype.
        radius: pixels to each side.
    """
    return _Weigh.apply(p, a, radius, True)
