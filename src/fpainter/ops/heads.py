"""The two products of linear attention, on maps with channels last, their heads side by side.

Keys k [B P N D] and values v [B P N E] at P pixels come to one matrix per head, the context
c [B N D E], which queries q [B P N D] read out:

    context(k, v) = sum_p k[p] v[p]^T          read_out(q, c)[p] = c^T q[p]

Both are bilinear, and each other's derivatives. On a CPU images follow each other and no head is
copied out of its map, in any derivative; torch's own products would copy every operand, number by
number where the axes are crossed. Reading out is a 1×1 convolution of an image with its own kernel,
one group per head, and runs as one there: those kernels use the widest vector instructions on any
processor (see :mod:`fpainter.nn.linear`).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function


class _Context(Function):
    @staticmethod
    def forward(ctx: Any, k: Tensor, v: Tensor) -> Tensor:
        ctx.save_for_backward(k, v)
        if k.device.type != "cpu":
            return torch.einsum("bpnd,bpne->bnde", k, v)
        c = k.new_empty(k.shape[0], *k.shape[2:], v.shape[3])
        for image_k, image_v, image_c in zip(k, v, c, strict=True):
            torch.bmm(image_k.permute(1, 2, 0), image_v.transpose(0, 1), out=image_c)
        return c

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (k, v), (g,) = ctx.saved_tensors, gradients
        needs_k, needs_v = ctx.needs_input_grad
        return read_out(v, g.mT) if needs_k else None, read_out(k, g) if needs_v else None


class _ReadOut(Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, c: Tensor) -> Tensor:
        ctx.save_for_backward(q, c)
        if q.device.type != "cpu" or q.dtype == torch.float64:
            return torch.einsum("bpnd,bnde->bpne", q, c)
        values = q.new_empty(*q.shape[:3], c.shape[3])
        for image_q, image_c, image_values in zip(q, c, values, strict=True):
            tall = image_q.reshape(1, len(image_q), 1, -1).permute(0, 3, 1, 2)  # [1 N·D P 1]
            kernel = image_c.mT.flatten(0, 1)[:, :, None, None]  # [N·E D 1 1]
            found = F.conv2d(tall, kernel, groups=q.shape[2])
            image_values.copy_(found.permute(0, 2, 3, 1).view_as(image_values))
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (q, c), (g,) = ctx.saved_tensors, gradients
        needs_q, needs_c = ctx.needs_input_grad
        return read_out(g, c.mT) if needs_q else None, context(q, g) if needs_c else None


def context(k: Tensor, v: Tensor) -> Tensor:
    """Return the sum over pixels ``sum_p k[p] v[p]^T`` for each head.

    Args:
        k: keys [B P N D].
        v: values [B P N E], of the same dtype.

    Returns:
        [B N D E].
    """
    return _Context.apply(k, v)


def read_out(q: Tensor, c: Tensor) -> Tensor:
    """Return what queries find in a context, ``c^T q[p]`` for each pixel and head.

    Args:
        q: queries [B P N D].
        c: context [B N D E], of the same dtype.

    Returns:
        [B P N E].
    """
    return _ReadOut.apply(q, c)
