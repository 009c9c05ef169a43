"""Computing in float32 where a setting allows less."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_float32(device: torch.device) -> Iterator[None]:
    """Compute without autocast and TensorFloat-32 in the block, whatever the settings are.

    TensorFloat-32, which cuDNN uses for convolutions unless told otherwise, changes Inception's
    features in the third digit or so.

    Args:
        device: on which the block computes.
    """
    convolutions = torch.backends.cudnn.allow_tf32
    products = torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)
