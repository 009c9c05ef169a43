"""What a generator's noise decides: one latent painted with many noises."""

from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from fpainter.generators.sampler import Sampler
from fpainter.pictures.grids import as_rgb, grid, labelled
from fpainter.pictures.styles import paint_styles, synthesis_of

LEAST = 0.1  # grey levels; rounding alone is not to look like noise


class NoiseVariation(NamedTuple):
    """Images of latents, each with many noises.

    Attributes:
        image: with the noise that stands for the latent, uint8 [B C H W].
        samples: with other noises, uint8 [B S C H W].
        deviation: of each pixel over all noises, in grey levels of 0..255, averaged over colours
            [B H W].
    """

    image: Tensor
    samples: Tensor
    deviation: Tensor


def check_noise(sampler: Sampler) -> None:
    """Raise ValueError unless the generator has styles and noise."""
    if synthesis_of(sampler).synthesis_network.noise == "none":
        raise ValueError(
            "this generator was trained without noise (model.generator.synthesis.layers.noise=none)"
        )


def vary_noise(
    sampler: Sampler, w: Tensor, seeds: list[int], num: int, num_shown: int, batch_size: int
) -> NoiseVariation:
    """Paint each latent with many noises.

    Args:
        sampler: of a generator with noise.
        w: styles [B L d_style].
        seeds: of the noises of each latent, B; they and `batch_size` decide what is drawn.
        num: noises for each latent.
        num_shown: of them, those whose images are returned.
        batch_size: images painted at a time.

    Source: Karras et al. 2019, figure 4.
    """
    samples, deviations = [], []
    devices = [w.device] if w.device.type == "cuda" else []
    for style, seed in zip(w, seeds, strict=True):
        total, squares, shown = torch.zeros(()), torch.zeros(()), torch.empty(0)
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            for start in range(0, num, batch_size):
                size = min(batch_size, num - start)
                images = paint_styles(sampler, style.expand(size, -1, -1), "random").double()
                total, squares = images.sum(0) + total, images.square().sum(0) + squares
                shown = torch.cat([shown.to(images), images])[:num_shown]
        variance = (squares / num - (total / num) ** 2).clamp_min(0)
        span = sampler.image_range.high - sampler.image_range.low
        deviations.append((variance.sqrt() * 255 / span).mean(dim=0))
        samples.append(sampler.image_range.to_bytes(shown))
    image = sampler.image_range.to_bytes(paint_styles(sampler, w, "constant"))
    return NoiseVariation(
        image.cpu(), torch.stack(samples).cpu(), torch.stack(deviations).float().cpu()
    )


def draw_noise(found: NoiseVariation, scale: int = 1) -> Image.Image:
    """Draw a row for each latent: its image, others with other noises, and the deviation.

    The deviation is black where noise changes nothing, and white where it changes most, for all
    latents alike; how much that is stands below.

    Args:
        found: by `vary_noise`.
        scale: enlargement by whole pixels.
    """
    most = max(float(found.deviation.max()), LEAST)
    grey = (255 * found.deviation / most).round().to(torch.uint8)
    cells = torch.cat(
        [as_rgb(found.image)[:, None], as_rgb(found.samples), as_rgb(grey[:, None, None])], dim=1
    )
    num = cells.shape[1]
    numbers = [f"noise {index}" for index in range(1, num - 1)]
    labels = ["image", *numbers, f"white: {most:.2g} levels"]
    return labelled(grid(cells.flatten(0, 1), num, gap=1, scale=scale), labels)
