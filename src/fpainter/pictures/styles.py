"""Styles of chosen images, where a generator has a mapping network, and how they are changed."""

import copy
import math
from dataclasses import replace
from typing import Any

from torch import Tensor

from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.sampler import Sampler, evaluating
from fpainter.generators.synthesis.generator import SynthesisGenerator
from fpainter.generators.synthesis.styles import FromStyles


def truncated(sampler: Sampler, truncation: float) -> Sampler:
    """Return a sampler of images that are nearer to the average one, and less varied.

    Styles are moved towards their average. A painter has none, but the average of its latents is
    zero, so that they are multiplied by `truncation`.

    Args:
        sampler: stays as it is.
        truncation: psi, any finite number; 1 changes nothing, 0 gives the average image.

    Raises:
        ValueError: if it is no such number, or the generator has neither.
    """
    if type(truncation) not in (int, float) or not math.isfinite(truncation):
        raise ValueError(f"truncation must be a number, such as 0.7; got {truncation}")
    generator = sampler.generator
    if isinstance(generator, SynthesisGenerator | FromStyles):
        generator = copy.deepcopy(generator)
        generator.truncation = truncation
    elif isinstance(generator, FastWeightPainter):
        generator = copy.deepcopy(generator)
        generator.join_label.register_forward_pre_hook(
            lambda module, given: (truncation * given[0], *given[1:])
        )
    else:
        raise ValueError(
            f"{type(generator).__name__} has no styles that could be moved towards their average; "
            "leave out truncation"
        )
    return replace(sampler, generator=generator)


def from_styles(sampler: Sampler) -> Sampler:
    """Return a sampler whose latents are styles, those of all layers side by side.

    Raises:
        ValueError: if the generator has no styles.
    """
    generator = sampler.generator
    if not isinstance(generator, SynthesisGenerator):
        raise ValueError(_no_styles(generator))
    return replace(sampler, generator=FromStyles(generator).eval())


def synthesis_of(sampler: Sampler) -> SynthesisGenerator:
    """Return the generator that paints under styles.

    Raises:
        ValueError: if there is none.
    """
    generator = sampler.generator
    if isinstance(generator, FromStyles):
        return generator.generator
    if isinstance(generator, SynthesisGenerator):
        return generator
    raise ValueError(_no_styles(generator))


def styles_of(sampler: Sampler, z: Tensor, label: Tensor | None = None) -> Tensor:
    """Return the styles [B L d_style] of latents, truncated as the sampler does.

    Args:
        sampler: of a generator with styles.
        z: latents [B d_latent], on any device.
        label: class indices [B] int64, on any device, if there are labels.

    Raises:
        ValueError: if the generator has no styles.
    """
    synthesis = synthesis_of(sampler)
    like = next(synthesis.parameters())
    with evaluating(synthesis):
        z = z.to(like)
        if isinstance(sampler.generator, FromStyles):
            return sampler.generator.styles(z)
        label = None if label is None else label.to(like.device)
        return synthesis.truncate(synthesis.mapping(z, label))


def paint_styles(sampler: Sampler, w: Tensor, noise: str | None = None) -> Tensor:
    """Paint images [B C H W], in the image range, under styles [B L d_style] as they are.

    Args:
        sampler: of a generator with styles.
        w: styles on its device.
        noise: as for `SynthesisGenerator.synthesis`.
    """
    synthesis = synthesis_of(sampler)
    with evaluating(synthesis):
        return synthesis.synthesis(w, noise)


def _no_styles(generator: Any) -> str:
    return (
        f"{type(generator).__name__} has no styles; those of model=stylegan2, gansformer_simplex "
        "and the like have"
    )
