"""What configs may compute: ``${stylegan2.batch_size:64,1}``."""

from collections.abc import Callable
from typing import Any

from omegaconf import OmegaConf

from fpainter.nn.sizes import as_size, is_whole


def num_devices(devices: Any) -> int:
    """Return how many devices a trainer is told to use; of anything but a number, one."""
    return devices if is_whole(devices) else 1


def batch_size(image_size: Any, devices: Any) -> int:
    """Return as many images as the reference lets the devices hold: 4 to 32 each, at most 64.

    Args:
        image_size: side in pixels, or (H, W), of which the longer one counts.
        devices: of the trainer, see `num_devices`.
    """
    num, side = num_devices(devices), max(as_size(image_size))
    return max(min(num * min(4096 // side, 32), 64), num)


def group_size(batch: int, devices: Any) -> int:
    """Return how many images the minibatch deviation compares: a device's, at most 4."""
    return max(min(batch // num_devices(devices), 4), 1)


def learning_rate(image_size: Any) -> float:
    """Return the rate of both players: 0.0025, from 1024 pixels up 0.002."""
    return 0.002 if max(as_size(image_size)) >= 1024 else 0.0025


def gamma(image_size: Any, batch: int) -> float:
    """Return the strength of R1: 0.0002 for each pixel of an image, over the batch."""
    height, width = as_size(image_size)
    return 0.0002 * height * width / batch


def half_life(batch: int) -> float:
    """Return the half-life of the average in thousands of images."""
    return batch * 10 / 32


def iterations(thousands: int, batch: int) -> int:
    """Return in how many iterations so many thousands of images are shown."""
    return -(-1000 * thousands // batch)


RESOLVERS: dict[str, Callable[..., Any]] = {
    f"stylegan2.{function.__name__}": function
    for function in (batch_size, group_size, learning_rate, gamma, half_life, iterations)
}


def register() -> None:
    """Let configs use what is here.

    Source: ``cfg=auto`` of StyleGAN2-ADA (Karras et al. 2020), its ``train.py``.
    """
    for name, function in RESOLVERS.items():
        OmegaConf.register_new_resolver(name, function, replace=True)
