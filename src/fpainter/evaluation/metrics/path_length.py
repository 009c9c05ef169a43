"""How fast images change on the way from latent to latent: perceptual path length."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fpainter.generators.base import Generator
from fpainter.generators.latents import interpolate
from fpainter.generators.sampler import Sampler, evaluating
from fpainter.generators.synthesis.generator import SynthesisGenerator
from fpainter.nn.seeds import stream_seed

EPSILON = 1e-4  # share of the way between the two images that are compared
TRIMMED = (0.01, 0.99)  # quantiles; pairs beyond them are left out


class PathLength(NamedTuple):
    """A mean over pairs of latents.

    Attributes:
        value: mean squared length of the way, in features, of those not trimmed.
        standard_error: of it.
        num_pairs: pairs, the trimmed ones among them.
    """

    value: float
    standard_error: float
    num_pairs: int


def spaces_of(generator: Generator) -> tuple[str, ...]:
    """Return between what ways are measured: latents z, and styles w where there are any."""
    return ("z", "w") if isinstance(generator, SynthesisGenerator) else ("z",)


def shares_of(seed: int, pairs: Sequence[int]) -> Tensor:
    """Draw a place t on each pair's way, uniform in [0, 1), from (seed, pair) alone, [B]."""
    draws = [stream_seed(seed, pair, "path length") for pair in pairs]
    return torch.tensor(draws, dtype=torch.float64) / 2**32


def painted_speeds(
    sampler: Sampler,
    extract: Callable[[Tensor], Tensor],
    z: Tensor,
    label: Tensor | None,
    shares: Tensor,
    space: str,
) -> Tensor:
    """Return how fast features of images change at a place between two latents, [B] float64.

    Images are neither rounded to bytes, which would hide small changes, nor clamped.

    Args:
        sampler: of the images.
        extract: the network, from [2B C H W], 0 black and 255 white, to [2B F].
        z: latents [2B d_latent], first those at share 0, then those at share 1.
        label: of each pair [B] int64, if there are labels.
        shares: of the ways [B].
        space: ``z``: the way turns evenly from latent to latent; ``w``: it goes straight from
            style to style.
    """
    generator = sampler.generator
    like = next(generator.parameters())
    z, label = z.to(like), None if label is None else label.to(like.device).repeat(2)

    def features(places: Tensor) -> Tensor:
        places = places.to(like)
        if space == "z":
            images = generator(places, label)
        else:
            assert isinstance(generator, SynthesisGenerator)
            w = places[:, None].expand(-1, generator.num_styles, -1)
            images = generator.synthesis(generator.truncate(w))
        return extract(255 * sampler.image_range.to_unit(images.float())).cpu()

    with evaluating(generator):
        ends, path = z, "spherical"
        if space == "w":
            assert isinstance(generator, SynthesisGenerator)
            ends, path = generator.mapping(z, label)[:, 0], "linear"
        start, end = ends.cpu().chunk(2)  # not every device knows float64
        return squared_speeds(features, start, end, shares, path)


def squared_speeds(
    features: Callable[[Tensor], Tensor],
    start: Tensor,
    end: Tensor,
    shares: Tensor,
    path: str = "spherical",
) -> Tensor:
    """Return how fast features change at a place between two latents, [B] float64.

    ``|f(l(t + eps)) - f(l(t))|^2 / eps^2``: if it were the same at every place, this would be the
    squared length of the whole way.

    Args:
        features: f, of latents [2B d] as float64 to [2B F].
        start: latents at share 0, [B d].
        end: latents at share 1, [B d].
        shares: t [B] in [0, 1].
        path: l, as for `interpolate`.

    Source: Karras et al. 2019, section 4.1, with t from the full path.
    """
    start, end, shares = start.double(), end.double(), shares.double()
    places = [interpolate(start, end, t, path) for t in (shares, shares + EPSILON)]
    here, there = features(torch.cat(places)).double().chunk(2)
    return ((there - here) / EPSILON).square().sum(dim=1)


def path_length(speeds: Tensor) -> PathLength:
    """Average squared speeds [N] without the smallest and the largest.

    Source: Karras et al. 2019; which pairs stay as in NVIDIA's ``perceptual_path_length``.
    """
    rounding = zip(TRIMMED, ("lower", "higher"), strict=True)
    low, high = (speeds.quantile(q, interpolation=way) for q, way in rounding)
    kept = speeds[(speeds >= low) & (speeds <= high)]
    error = kept.std(correction=0) / len(kept) ** 0.5
    return PathLength(float(kept.mean()), float(error), len(speeds))
