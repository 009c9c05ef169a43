"""Pictures of what styles, noise and attention decide, where a generator has them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor

from fpainter.checkpoints.inference import TrainedPainter
from fpainter.launch.settings import blaming
from fpainter.nn.seeds import stream_seed
from fpainter.pictures.attention import (
    attending_sizes,
    attention_of,
    draw_components,
    draw_mixtures,
)
from fpainter.pictures.mixing import draw_mixing, mixing_cutoff
from fpainter.pictures.noise import check_noise, draw_noise, vary_noise
from fpainter.pictures.selection import Selection
from fpainter.pictures.styles import styles_of
from fpainter.tasks.chosen import numbers

Writer = Callable[[Path], list[str]]  # into the folder; returns the names of its files


def prepare_mixing(trained: TrainedPainter, selection: Selection, cfg: DictConfig) -> Writer:
    """Return what writes the table of mixed styles.

    Args:
        trained: the checkpoint.
        selection: the images chosen, of which the first are the sources by default.
        cfg: composed from ``configs/generate.yaml``.

    Raises:
        UserError: if there can be no such table.
    """
    num = cfg.mixing.num_images
    with blaming("what=mixing"):
        cutoff = mixing_cutoff(selection.sampler, cfg.mixing.cutoff)
        coarse = numbers(cfg, "mixing.coarse") or selection.indices[:num]
        fine = numbers(cfg, "mixing.fine") or selection.indices[num : 2 * num] or coarse
        sources = [_styles(replace(selection, indices=indices)) for indices in (coarse, fine)]

    def write(output: Path) -> list[str]:
        sampler, scale = selection.sampler, cfg.grid.scale
        first, second = sources
        picture = draw_mixing(sampler, first, second, cutoff, selection.batch_size, scale)
        picture.save(output / "mixing.png")
        return ["mixing.png"]

    return write


def prepare_noise(trained: TrainedPainter, selection: Selection, cfg: DictConfig) -> Writer:
    """Return what writes images with many noises; see `prepare_mixing`."""
    with blaming("what=noise"):
        check_noise(selection.sampler)
    some = selection.first(cfg.noise.num_images)

    def write(output: Path) -> list[str]:
        options = cfg.noise
        seeds = [stream_seed(cfg.seed, index, "noise") for index in some.indices]
        shown = min(options.num_shown, options.num_samples)
        found = vary_noise(
            some.sampler, _styles(some), seeds, options.num_samples, shown, some.batch_size
        )
        draw_noise(found, cfg.grid.scale).save(output / "noise.png")
        return ["noise.png"]

    return write


def prepare_attention(trained: TrainedPainter, selection: Selection, cfg: DictConfig) -> Writer:
    """Return what writes maps of attention over images; see `prepare_mixing`."""
    with blaming("what=attention"):
        sizes = attending_sizes(selection.sampler)
    some = selection.first(cfg.attention.num_images)

    def write(output: Path) -> list[str]:
        folder, scale = output / "attention", cfg.grid.scale
        folder.mkdir(exist_ok=True)
        images, maps = attention_of(some.sampler, _styles(some))
        draw_mixtures(images, maps, scale).save(output / "attention.png")
        for number, image, own in zip(some.indices, images, maps, strict=True):
            picture = draw_components(image, own, sizes, scale)
            picture.save(folder / f"{number:06d}.png")
        return ["attention.png", f"{len(images)} attention"]

    return write


def _styles(selection: Selection) -> Tensor:
    """Return the styles of images [B L d_style]."""
    parts = [styles_of(part.sampler, part.latents(), part.labels()) for part in selection.slices()]
    return torch.cat(parts)
