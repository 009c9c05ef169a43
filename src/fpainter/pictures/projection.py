"""Projection: the latent whose image is most like a given picture."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fpainter.generators.base import Generator
from fpainter.generators.latents import latents
from fpainter.generators.sampler import Sampler, evaluating
from fpainter.generators.synthesis.generator import SynthesisGenerator
from fpainter.generators.synthesis.styles import FromStyles
from fpainter.nn.derivatives import differentiable
from fpainter.nn.sizes import check_number
from fpainter.pictures.latents_file import StoredLatents
from fpainter.pictures.selection import batches
from fpainter.progress import Report

SPACES = ("z", "w", "w+")
RISE, FALL = 0.05, 0.25  # shares of the steps in which the learning rate rises and falls

Distance = Callable[[Tensor], Tensor]  # images [B C H W] in the image range -> [B]


@dataclass(frozen=True)
class Search:
    """How a latent is looked for.

    Attributes:
        space: ``z``; ``w``: one style for all layers; ``w+``: a style for each.
        num_steps: of gradient descent.
        lr: learning rate of Adam.
        num_candidates: drawn latents, of which the best is where the search begins.
        prior: weight of the mean square of z, which is 1 for drawn ones; keeps it near them.
        seed: of the candidates.
        batch_size: candidates painted at a time.

    Raises:
        ValueError: if a value is none of these.
    """

    space: str = "z"
    num_steps: int = 300
    lr: float = 0.2
    num_candidates: int = 256
    prior: float = 0.001
    seed: int = 0
    batch_size: int = 64

    def __post_init__(self) -> None:
        if self.space not in SPACES:
            raise ValueError(f"space must be one of {', '.join(SPACES)}; got {self.space}")
        check_number("lr", self.lr)
        check_number("prior", self.prior, zero=True)

    def check(self, sampler: Sampler) -> None:
        """Raise ValueError if styles are looked for where there are none."""
        generator = _inner(sampler)
        if self.space != "z" and not isinstance(generator, SynthesisGenerator):
            kind = type(generator).__name__
            raise ValueError(f"space={self.space}: {kind} has no styles; leave it out")


@dataclass(frozen=True)
class Projection:
    """What a search has found.

    Attributes:
        stored: the latent, or styles, as image 0.
        shape: of the latent, such as (L, d_style).
        start: image of the best candidate, uint8 [C H W].
        image: that was found, uint8 [C H W].
        losses: at the start and after each step.
    """

    stored: StoredLatents
    shape: tuple[int, ...]
    start: Tensor
    image: Tensor
    losses: list[float]


def default_space(sampler: Sampler) -> str:
    """Return ``w`` where a generator has styles, else ``z``."""
    return "w" if isinstance(_inner(sampler), SynthesisGenerator) else "z"


def project(
    sampler: Sampler,
    distance: Distance,
    search: Search,
    label: int | None = None,
    report: Report = lambda what, done, total: None,
) -> Projection:
    """Find the latent whose image is nearest to a picture, by gradient descent.

    The search begins at the nearest of some drawn latents, and what was nearest on the way is
    returned. What is found depends on the seed and on nothing else.

    Args:
        sampler: of any generator, without gradients of its parameters.
        distance: to the picture.
        search: how.
        label: class of the image; None: that of the best candidate, whose classes take turns.
        report: told of candidates and steps that are done.

    Raises:
        ValueError: if styles are asked for where there are none.

    Source: Karras et al. 2020 (StyleGAN2), appendix D, with its schedule of learning rates; here
    nothing is added to styles on the way, and the noise of layers stays as it is.
    """
    search.check(sampler)
    generator = _inner(sampler)
    z, labels = _best_candidate(generator, distance, search, label, report)
    painter, latent, copies, prior = generator, z, 1, search.prior
    if search.space != "z":
        assert isinstance(generator, SynthesisGenerator)
        with evaluating(generator):
            w = generator.truncate(generator.mapping(z, labels))
        painter, labels, prior = FromStyles(generator).eval(), None, 0.0
        of_all = search.space == "w+"
        latent, copies = (w.flatten(1), 1) if of_all else (w[:, 0], generator.num_styles)

    def paint(latent: Tensor) -> Tensor:
        with differentiable(painter):
            return painter(latent.repeat(1, copies), labels)

    def loss(latent: Tensor) -> Tensor:
        return distance(paint(latent)) + prior * latent.square().mean()

    found, losses = _descend(latent, loss, search, report)
    images = torch.cat([paint(latent), paint(found)])
    start, image = sampler.image_range.to_bytes(images).cpu()
    whole = found.repeat(1, copies).float().cpu()
    of_styles = isinstance(painter, FromStyles)
    stored = StoredLatents((0,), whole, of_styles, None if labels is None else labels.cpu())
    shape = (-1, painter.d_style) if isinstance(painter, FromStyles) else ()
    return Projection(stored, shape, start, image, losses)


def _inner(sampler: Sampler) -> Generator:
    """Return the generator that draws latents, also where styles of it are painted."""
    generator = sampler.generator
    return generator.generator if isinstance(generator, FromStyles) else generator


def _best_candidate(
    generator: Generator, distance: Distance, search: Search, label: int | None, report: Report
) -> tuple[Tensor, Tensor | None]:
    """Return the latent [1 d_latent], and its label [1] if any, whose image is the nearest."""
    like, num = next(generator.parameters()), generator.num_labels
    indices = range(search.num_candidates)
    z = latents(search.seed, indices, generator.d_latent).to(like)
    labels = None
    if num:
        numbers = [index % num if label is None else label for index in indices]
        labels = torch.tensor(numbers, device=like.device)
    found: list[Tensor] = []
    with evaluating(generator):
        for some in batches(search.batch_size, z, labels):
            report("candidates", search.batch_size * len(found), len(z))
            # Features of a few images at a time stay in a CPU's cache.
            parts = [distance(images) for images in generator(*some).split(8)]
            found.append(torch.cat(parts))
    report("candidates", len(z), len(z))
    best = int(torch.cat(found).argmin())
    return z[best, None], None if labels is None else labels[best, None]


def _descend(
    start: Tensor, loss: Callable[[Tensor], Tensor], search: Search, report: Report
) -> tuple[Tensor, list[float]]:
    """Return the latent [1 d] of the lowest loss on the way from `start`, and all losses."""
    start = start.clone()  # what was made in inference mode has no gradients
    latent = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([latent])
    best, lowest, losses = start, math.inf, list[float]()
    for step in range(search.num_steps + 1):
        report("steps", step, search.num_steps)
        value = loss(latent).sum()
        losses.append(value.item())
        if losses[-1] < lowest:
            best, lowest = latent.detach().clone(), losses[-1]
        if step == search.num_steps:
            break
        (latent.grad,) = torch.autograd.grad(value, latent)
        optimiser.param_groups[0]["lr"] = search.lr * _share(step / search.num_steps)
        optimiser.step()
    return best, losses


def _share(done: float) -> float:
    """Return the share of the learning rate when a share of the steps is done."""
    falling = min(1.0, (1 - done) / FALL)
    return min(1.0, done / RISE + 1e-3) * (0.5 - 0.5 * math.cos(falling * math.pi))
