"""Products of matrices whose heads lie side by side in memory: of maps with channels last.

Two bilinear maps, each other's derivatives, between vectors a, b [B P N D] at P places in N heads
and one matrix c [B N D E] per head:

    gather(a, b) = sum_p a[p] b[p]^T          look_up(a, c)[p] = c^T a[p]

On a CPU images follow each other and no head is copied out of its map, in any derivative; torch's
own products would copy every operand, number by number where the axes are crossed. Looking up is a
1×1 convolution of an image with its own kernel, one group per head, and runs as one there: those
kernels use the widest vector instructions on any processor (see :mod:`fpainter.nn.linear`).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function


class _Gather(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        if a.device.type != "cpu":
            return torch.einsum("bpnd,bpne->bnde", a, b)
        c = a.new_empty(a.shape[0], *a.shape[2:], b.shape[3])
        for image_a, image_b, image_c in zip(a, b, c, strict=True):
            torch.bmm(image_a.permute(1, 2, 0), image_b.transpose(0, 1), out=image_c)
        return c

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (a, b), (g,) = ctx.saved_tensors, gradients
        needs_a, needs_b = ctx.needs_input_grad
        return look_up(b, g.mT) if needs_a else None, look_up(a, g) if needs_b else None


class _LookUp(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, c: Tensor) -> Tensor:
        ctx.save_for_backward(a, c)
        if a.device.type != "cpu" or a.dtype == torch.float64:
            return torch.einsum("bpnd,bnde->bpne", a, c)
        b = a.new_empty(*a.shape[:3], c.shape[3])
        for image_a, image_b, image_c in zip(a, b, c, strict=True):
            tall = image_a.reshape(1, len(image_a), 1, -1).permute(0, 3, 1, 2)  # [1 N·D P 1]
            kernel = image_c.mT.flatten(0, 1)[:, :, None, None]  # [N·E D 1 1]
            found = F.conv2d(tall, kernel, groups=a.shape[2])
            image_b.copy_(found.permute(0, 2, 3, 1).view_as(image_b))
        return b

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (a, c), (g,) = ctx.saved_tensors, gradients
        needs_a, needs_c = ctx.needs_input_grad
        return look_up(g, c.mT) if needs_a else None, gather(a, g) if needs_c else None


def gather(a: Tensor, b: Tensor) -> Tensor:
    """Return ``sum_p a[p] b[p]^T`` for each head, [B N D E].

    Args:
        a: [B P N D].
        b: [B P N E], of the same dtype.
    """
    return _Gather.apply(a, b)


def look_up(a: Tensor, c: Tensor) -> Tensor:
    """Return ``c^T a[p]`` for each place and head, [B P N E].

    Args:
        a: [B P N D].
        c: [B N D E], of the same dtype.
    """
    return _LookUp.apply(a, c)
