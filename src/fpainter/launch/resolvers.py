"""What configs may compute: ``${stylegan2.batch_size:64,1}``, ``${equal_parameters:1024}``."""

from bisect import bisect_left
from collections.abc import Callable
from copy import deepcopy
from functools import lru_cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fpainter.nn.sizes import as_size, is_whole

GROWS = 16  # times the size of the delta rule's painter; its head is the larger part of a tiny one


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


def equal_parameters(d_hidden: int, *, _root_: DictConfig) -> int:
    """Return the size of the hidden state that gives a painter as many parameters as delta's has.

    Rules order more or fewer numbers, so their heads are of different sizes. The painter is built
    without memory for one size after the other, and the nearest is returned. A run whose stages
    have several image sizes would get another one in each: give it a number.

    Args:
        d_hidden: of the same painter with the delta rule, at least 1.
        _root_: the whole config.

    Raises:
        ValueError: if `d_hidden` is no such number.
    """
    _check_whole("equal_parameters", d_hidden)
    config, deltas = deepcopy(_root_), _with_delta(_root_)
    for each in (config, deltas):  # or it would be computed for every size
        each.model.generator.num_steps = each.model.generator.num_steps
    wanted, sizes = _parameters(deltas, d_hidden), range(1, GROWS * d_hidden)
    above = bisect_left(sizes, wanted, key=lambda size: _parameters(config, size))
    around = sizes[max(above - 1, 0) : above + 1]
    return min(around, key=lambda size: abs(_parameters(config, size) - wanted))


def equal_numbers(num_steps: int, *, _root_: DictConfig) -> int:
    """Return in how many steps a painter is told as many numbers as the delta rule's painter.

    Args:
        num_steps: of the same painter with the delta rule, at least 1.
        _root_: the whole config.

    Raises:
        ValueError: if `num_steps` is no such number.
    """
    _check_whole("equal_numbers", num_steps)
    ours, deltas = (_numbers(config) for config in (deepcopy(_root_), _with_delta(_root_)))
    return max(round(num_steps * deltas / ours), 1)


def _check_whole(name: str, given: Any) -> None:
    if not is_whole(given):
        raise ValueError(f"${{{name}:{given}}}: must be given a whole number, at least 1")


def _with_delta(root: DictConfig) -> DictConfig:
    """Return the config of the same painter with the delta rule, whose rates are not one."""
    root = deepcopy(root)
    parts = root.model.generator
    OmegaConf.set_struct(parts, False)
    parts.learning_rule = {"_target_": "fpainter.generators.learning_rules.DeltaRule"}
    if parts.head.rate == "none":
        parts.head.rate = None
    return root


def _parameters(root: DictConfig, d_hidden: int) -> int:
    """Count the generator's parameters; the config is changed."""
    root.model.generator.d_hidden = d_hidden
    return sum(parameter.numel() for parameter in _built(root.model.generator).parameters())


def _numbers(root: DictConfig) -> int:
    """Count what the head writes at each step of the slow net; the config is changed."""
    root.model.generator.head.d_hidden = 1
    return sum(_built(root.model.generator.head).sizes)


def _built(description: DictConfig) -> Any:
    return _without_memory(OmegaConf.to_yaml(description, resolve=True))


@lru_cache  # a run asks for its settings some dozen times
def _without_memory(description: str) -> Any:
    """Build what a config describes, YAML, on the device that holds no numbers."""
    import torch
    from hydra.utils import instantiate

    with torch.device("meta"):
        return instantiate(OmegaConf.create(description))


RESOLVERS: dict[str, Callable[..., Any]] = {
    f"stylegan2.{function.__name__}": function
    for function in (batch_size, group_size, learning_rate, gamma, half_life, iterations)
} | {function.__name__: function for function in (equal_parameters, equal_numbers)}


def register() -> None:
    """Let configs use what is here.

    Source: of what begins with stylegan2, ``cfg=auto`` of StyleGAN2-ADA (Karras et al. 2020), its
    ``train.py``.
    """
    for name, function in RESOLVERS.items():
        OmegaConf.register_new_resolver(name, function, replace=True)
