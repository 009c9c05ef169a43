"""The products of neighbourhood attention, without copying any neighbourhood out.

Three bilinear maps between maps of queries, keys or values [B H W N D] and maps of one number per
neighbour [S B H W N], S = (2·radius+1)² neighbours in reading order:

    scores(q, k)[s, y] = q[y] · k[y + s]      gather_values(p, v)[y] = sum_s p[s, y] v[y + s]
                                              scatter_values(p, v)[y] = sum_s p[s, y - s] v[y - s]

Pixels beyond the border are zero. The three are each other's derivatives, so that they can be
differentiated as often as one likes; each sum runs over S shifted views of whole maps.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

_CACHED = 2**20  # entries of a map that fit in a processor's cache, together with one or two others


def _shifts(a: Tensor, radius: int) -> Iterator[tuple[int, Any, Any]]:
    """Yield each neighbour's number, the pixels that have this neighbour, and the neighbours.

    On a CPU a few images are finished before the next ones are touched: several times faster,
    because they stay in the cache over all neighbours. Compilers do as they think best.
    """
    batch, height, width = a.shape[:3]
    whole = a.device.type != "cpu" or torch.compiler.is_compiling()
    images = max(1, batch if whole else _CACHED // max(1, a.shape[1:].numel()))
    offsets = list(enumerate(product(range(-radius, radius + 1), repeat=2)))
    offsets.insert(0, offsets.pop(len(offsets) // 2))  # the pixel itself, shifted by nothing
    for start in range(0, batch, images):
        some = slice(start, start + images)
        for number, (down, right) in offsets:
            rows, columns = _overlap(down, height), _overlap(right, width)
            yield number, (some, rows[0], columns[0]), (some, rows[1], columns[1])


def _overlap(shift: int, size: int) -> tuple[slice, slice]:
    shift = max(-size, min(shift, size))  # beyond the map, the two overlap nowhere
    low, high = max(0, -shift), min(size, size - shift)
    return slice(low, high), slice(low + shift, high + shift)


class _Scores(Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, radius: int) -> Tensor:
        ctx.save_for_backward(q, k)
        ctx.radius = radius
        result = q.new_zeros((2 * radius + 1) ** 2, *q.shape[:-1])
        for number, here, there in _shifts(q, radius):
            result[number][here] = (q[here] * k[there]).sum(dim=-1)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (q, k), (g,) = ctx.saved_tensors, gradients
        needs_q, needs_k, _ = ctx.needs_input_grad
        return (
            gather_values(g, k, ctx.radius) if needs_q else None,
            scatter_values(g, q, ctx.radius) if needs_k else None,
            None,
        )


class _Values(Function):
    """Both `gather_values` and its transpose, `scatter_values`."""

    @staticmethod
    def forward(ctx: Any, p: Tensor, v: Tensor, radius: int, transposed: bool) -> Tensor:
        ctx.save_for_backward(p, v)
        ctx.options = radius, transposed
        weights, total = p.unsqueeze(-1), torch.empty_like(v)
        for number, here, there in _shifts(v, radius):
            read, written = (here, there) if transposed else (there, here)
            if here == there:  # the pixel itself, which comes first
                torch.mul(weights[number][here], v[read], out=total[written])
            else:
                total[written].addcmul_(weights[number][here], v[read])
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (p, v), (g,), (radius, transposed) = ctx.saved_tensors, gradients, ctx.options
        needs_p, needs_v, _, _ = ctx.needs_input_grad
        first, second = (v, g) if transposed else (g, v)
        return (
            scores(first, second, radius) if needs_p else None,
            _Values.apply(p, g, radius, not transposed) if needs_v else None,
            None,
            None,
        )


def scores(q: Tensor, k: Tensor, radius: int = 1) -> Tensor:
    """Return the dot products of each query with the keys of its neighbours.

    Args:
        q: queries [B H W N D].
        k: keys of the same shape and dtype.
        radius: pixels to each side; it may be larger than the map.

    Returns:
        [S B H W N]; 0 for neighbours beyond the border.
    """
    return _Scores.apply(q, k, radius)


def gather_values(p: Tensor, v: Tensor, radius: int = 1) -> Tensor:
    """Return the weighted sum of the values of each pixel's neighbours.

    Args:
        p: weights [S B H W N].
        v: values [B H W N D], of the same dtype.
        radius: pixels to each side; it may be larger than the map.

    Returns:
        [B H W N D].
    """
    return _Values.apply(p, v, radius, False)


def scatter_values(p: Tensor, v: Tensor, radius: int = 1) -> Tensor:
    """Add each pixel's value, weighted, to its neighbours: the transpose of `gather_values`.

    Args:
        p: weights [S B H W N].
        v: values [B H W N D], of the same dtype.
        radius: pixels to each side; it may be larger than the map.

    Returns:
        [B H W N D].
    """
    return _Values.apply(p, v, radius, True)
