"""Walks: from latent to latent and back to the first, or from one state of training to the next."""

import copy
import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fpainter.generators.latents import PATHS, interpolate
from fpainter.generators.sampler import Sampler
from fpainter.nn.sizes import is_whole
from fpainter.pictures.selection import Selection, batches
from fpainter.training.ema import move_average


def walk_images(selection: Selection, frames_between: int, path: str = "spherical") -> Tensor:
    """Draw the images along a closed walk through the latents of chosen images.

    Labels do not blend: up to the next chosen image, that of the last one holds.

    Args:
        selection: the images passed, at least two.
        frames_between: images between two of them.
        path: as for `interpolate`.

    Returns:
        uint8 [N (frames_between + 1) C H W] on the CPU, the chosen images and those on the way
        from each to the next, the last one's next being the first.
    """
    stations = selection.latents()
    z = walk_latents(stations, frames_between, path)
    label = selection.labels()
    if label is not None:
        label = label.repeat_interleave(frames_between + 1)
    return _drawn(selection.sampler, z, label, selection.batch_size)


def training_walk(samplers: Iterable[Sampler], selection: Selection, frames_between: int) -> Tensor:
    """Draw chosen images while the weights go straight from each painter's to the next one's.

    Args:
        samplers: at least two painters of one architecture, such as a run's checkpoints in order;
            only two neighbours are held at a time.
        selection: the images; its own painter is not asked.
        frames_between: states of the weights between those of two painters.

    Returns:
        uint8 [N F C H W] on the CPU: N images, each in F = (painters - 1) (frames_between + 1) + 1
        states, the first and the last of which are those of the first and the last painter.

    Raises:
        ValueError: if there are fewer than two painters or `frames_between` is negative.
    """
    check_walk(frames_between)
    latents, size = (selection.latents(), selection.labels()), selection.batch_size
    frames = []
    for start, end in itertools.pairwise(samplers):
        for index in range(frames_between + 1):
            between = copy.deepcopy(start.generator)
            move_average(between, end.generator, 1 - index / (frames_between + 1))
            frames.append(_drawn(replace(start, generator=between), *latents, size))
    if not frames:
        raise ValueError("a walk through training needs at least two checkpoints")
    return torch.stack([*frames, _drawn(end, *latents, size)], dim=1)


def _drawn(sampler: Sampler, z: Tensor, label: Tensor | None, batch_size: int) -> Tensor:
    return torch.cat([sampler(*some).cpu() for some in batches(batch_size, z, label)])


def walk_latents(stations: Tensor, frames_between: int, path: str = "spherical") -> Tensor:
    """Return the latents of a closed walk [N (frames_between + 1) d] through `stations` [N d].

    Raises:
        ValueError: if there are fewer than two stations or the path is unknown.
    """
    if len(stations) < 2:
        raise ValueError("a walk needs at least two images")
    check_walk(frames_between, path)
    shares = torch.arange(frames_between + 1) / (frames_between + 1)
    ways = zip(stations, stations.roll(-1, dims=0), strict=True)
    return torch.cat([interpolate(start, end, shares, path) for start, end in ways])


def check_walk(frames_between: Any, path: Any = "spherical") -> None:
    """Raise ValueError unless there is such a walk; the values may have any type."""
    if not is_whole(frames_between, least=0):
        raise ValueError(f"frames_between must be a whole number, at least 0; got {frames_between}")
    if path not in PATHS:
        raise ValueError(f"path must be one of {', '.join(PATHS)}; got {path}")
