"""Gradients, and what else depends on a batch that several processes share."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, distributed, nn

BUCKET_BYTES = 25 * 2**20  # packed together; while some are sent, the next are packed


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their means over all processes.

    Where this process has no gradient it counts as zero; where no process has one there is none
    afterwards either.

    Args:
        parameters: the same ones in all processes; the frozen are left out.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    used = torch.tensor([float(parameter.grad is not None) for parameter in trained])
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
    in_some = used.to(gradients[0].device)
    sent = []
    for bucket in _buckets([in_some, *gradients]):
        flat = torch.cat([tensor.flatten() for tensor in bucket])
        sent.append((bucket, flat, distributed.all_reduce(flat, async_op=True)))
    for bucket, flat, work in sent:
        work.wait()
        means = flat.div_(distributed.get_world_size()).split([each.numel() for each in bucket])
        for tensor, mean in zip(bucket, means, strict=True):
            tensor.copy_(mean.view_as(tensor))
    if not used.all():  # or nobody has to wait for the device
        for parameter, gradient, share in zip(trained, gradients, in_some.tolist(), strict=True):
            parameter.grad = gradient if share else None


@torch.no_grad()
def average(value: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes; the tensor itself where there is one."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return value
    total = value.clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()


def _buckets(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    for tensor in tensors:
        bucket.append(tensor)
        if sum(each.nbytes for each in bucket) >= BUCKET_BYTES:
            yield bucket
            bucket = []
    if bucket:
        yield bucket
