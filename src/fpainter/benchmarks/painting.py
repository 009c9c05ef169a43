"""How fast instructions become an image, and how time and memory grow."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from fpainter.benchmarks.released import LoopedPainter, paint_in_a_loop
from fpainter.benchmarks.stopwatch import medians, peak_memory
from fpainter.generators.base import Generator
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.sampler import Sampler
from fpainter.generators.view import View
from fpainter.ops import closed_form, rank_one
from fpainter.pictures.selection import edited

AXES = {"steps": (16, 64, 128, 512, 2048), "size": (32, 64, 128, 256), "batch": (1, 4, 16, 64)}
START = {"steps": 64, "size": 64, "batch": 20}
SIDES = (64, 128, 256, 512, 1024, 2048)


def painting(
    painter: Generator, batch_size: int, repeats: int, device: torch.device
) -> dict[str, float]:
    """Paint and differentiate from what the head wrote: in closed form and in a loop.

    Returns:
        seconds of both, their ratio, and the largest relative difference of image and gradient.

    Raises:
        ValueError: if there is no loop for such a generator.
    """
    looped = LoopedPainter(painter)
    assert isinstance(painter, FastWeightPainter)  # or there would be no loop
    head, rule = looped.head, looped.rule
    written = torch.randn(batch_size, painter.num_steps, sum(head.sizes), device=device)
    direction = torch.randn(batch_size, painter.channels, *painter.image_size, device=device)

    def run(paint: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        leaf = written.clone().requires_grad_(True)
        image = paint(leaf)
        image.backward(direction)
        assert leaf.grad is not None
        return image.detach(), leaf.grad

    runs = {
        "seconds": lambda: run(lambda leaf: rule(head.read(leaf)).image()),
        "loop_seconds": lambda: run(lambda leaf: paint_in_a_loop(head, rule, leaf)),
    }
    pairs = zip(*(paint() for paint in runs.values()), strict=True)
    deviation = max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)
    seconds = medians(runs, 5 * repeats, device)
    speedup = seconds["loop_seconds"] / seconds["seconds"]
    return seconds | {"speedup": speedup, "deviation": deviation}


def growth(channels: int, repeats: int, device: torch.device) -> dict[str, float]:
    """Paint and differentiate with the delta rule while one size after the other grows.

    Returns:
        seconds and bytes for each size, and the exponents with which both grow from the third
        largest to the largest.
    """
    results: dict[str, float] = {}
    for axis, values in AXES.items():
        runs = {
            value: _painting(**{**START, axis: value}, channels=channels, device=device)
            for value in values
        }
        results |= _measured(axis, runs, repeats, device)
    return results


def _measured(
    axis: str, runs: Mapping[int, Callable[[], Any]], repeats: int, device: torch.device
) -> dict[str, float]:
    """Return seconds and bytes of runs by their size along an axis, and the exponents of both."""
    results: dict[str, float] = {}
    measured: dict[str, dict[int, float]] = {"seconds": {}, "bytes": {}}
    for value, run in runs.items():
        measured["seconds"][value] = medians({"": run}, repeats, device)[""]
        memory = peak_memory(run, device)
        if memory is not None:
            measured["bytes"][value] = memory
    for unit, by_value in measured.items():
        results |= {f"{axis}_{value}.{unit}": found for value, found in by_value.items()}
        results[f"{axis}.exponent_of_{unit}"] = _exponent(by_value)
    return results


def any_size(sampler: Sampler, repeats: int, device: torch.device) -> dict[str, float]:
    """Paint one picture, from its latent to bytes, at sizes from 64 to 2,048 pixels a side.

    Returns:
        seconds and bytes for each side, and the exponents with which both grow from the third
        largest to the largest.

    Raises:
        ValueError: if the generator paints at one size only.
    """
    z = torch.randn(1, sampler.d_latent, device=device)
    runs = {side: _larger(sampler, side, z) for side in SIDES}
    return _measured("side", runs, repeats, device)


def _larger(sampler: Sampler, side: int, z: Tensor) -> Callable[[], Any]:
    larger = edited(sampler, view=View.of(side))
    return lambda: larger(z)


def _painting(
    steps: int, size: int, batch: int, channels: int, device: torch.device
) -> Callable[[], Any]:
    shape = (batch, channels, steps)
    key = torch.randn(*shape, size, device=device).softmax(-1)
    value, rate = torch.randn(*shape, size, device=device), torch.rand(*shape, 1, device=device)
    leaves = [leaf.requires_grad_(True) for leaf in (key, value, rate)]

    def run() -> None:
        image = rank_one.image(*closed_form.delta_rule(*leaves))
        torch.autograd.grad(image.sum(), leaves)

    return run


def _exponent(measured: Mapping[int, float]) -> float:
    """Fit a power law between the third largest and the largest size."""
    if len(measured) < 3 or min(measured.values()) <= 0:
        return math.nan
    (low, at_low), _, (high, at_high) = list(measured.items())[-3:]
    return math.log(at_high / at_low) / math.log(high / low)
