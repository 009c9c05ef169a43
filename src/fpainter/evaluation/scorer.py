"""All scores of a painter, or of a set of images, by their names."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor

from fpainter.evaluation.classes import OneClass, labels_like
from fpainter.evaluation.features import Draw, Features, Images
from fpainter.evaluation.inception.network import InceptionFeatures
from fpainter.evaluation.metrics.fid import PaintedFID
from fpainter.evaluation.metrics.painting import effective_rank, step_shares
from fpainter.evaluation.metrics.path_length import (
    painted_speeds,
    path_length,
    shares_of,
    spaces_of,
)
from fpainter.evaluation.metrics.sample import NEED_REALS, SAMPLE_METRICS
from fpainter.evaluation.processes import rank, summed, world_size
from fpainter.generators.base import Generator, PaintingGenerator
from fpainter.generators.latents import latents
from fpainter.generators.painting import shown_steps
from fpainter.generators.sampler import Sampler, evaluating

PAINTER_METRICS = ("fid_by_step", "painting")  # of painters only
OF_IMAGES = ("fid", *SAMPLE_METRICS)  # whatever made them
METRICS = (*OF_IMAGES, "inception_path_length", "fid_by_label", *PAINTER_METRICS)
TABLES = ("fid_by_step", "fid_by_label")  # several numbers, and as many further passes
NUM_SHOWN = 8  # painting steps at which the FID is taken
LEAST_SINGLE = 10  # images on both sides for metrics of single features


@dataclass(eq=False)
class Scorer:
    """Scores of any number of painters against the same real images.

    The statistics of the reals are made or read when the first score is due.

    Args:
        features: the feature network, the protocol and the cache.
        images: the real images.
        metrics: names out of `METRICS`; the FID is always there.
        num_images: fakes per score.
        num_kept: of them, those whose single features the metrics other than the FID see.
        seed: of the fakes' latents.
        num_each: of the fakes, those for what takes further passes: scores by step and by class,
            path lengths, and what only painters have.

    Raises:
        ValueError: if an option is out of range, a metric unknown, or there are too few images.
    """

    features: Features
    images: Images
    metrics: Sequence[str] = ("fid",)
    num_images: int = 10_000
    num_kept: int = 10_000
    seed: int = 0
    num_each: int = 2_000

    def __post_init__(self) -> None:
        check_metrics(self.metrics)
        num_reals, least = len(self.images), least_images(self.metrics)
        if num_reals < least:
            raise ValueError(f"scores need at least {least} real images; got {num_reals}")
        least = max(least, world_size())
        for name in ("num_images", "num_kept", "num_each"):
            if (num := getattr(self, name)) < least:
                raise ValueError(f"{name} must be at least {least}; got {num}")
        self.num_each = min(self.num_each, self.num_images)

    @cached_property
    def _metric(self) -> PaintedFID:
        needs_sample = SAMPLE_METRICS.keys() & set(self.metrics)
        return PaintedFID(self.features, self.images, self.num_kept if needs_sample else 0)

    @cached_property
    def _real_sample(self) -> Tensor:
        """Single features of the reals [N F]; empty where no metric needs them."""
        if not NEED_REALS & set(self.metrics):
            return torch.empty(0)
        return self.features.sample(self.images, self.num_kept).to(self._metric.device)

    def prepare(self) -> None:
        """Make or read what all scores need of the reals; every process must call this.

        Otherwise the first score does.
        """
        _ = self._metric, self._real_sample

    def __call__(self, sampler: Sampler) -> dict[str, Any]:
        """Return the scores of a painter by name; every process must call this."""
        scores = self.of_images(self._draw(sampler), self.num_images)
        generator = sampler.generator
        if "fid_by_label" in self.metrics and generator.num_labels:
            scores["fid_by_label"] = self._by_label(sampler)
        if "inception_path_length" in self.metrics and sampler.step is None:
            scores |= self._path_lengths(sampler)
        if isinstance(generator, PaintingGenerator) and sampler.step is None:
            if "painting" in self.metrics:
                scores |= self._painting(generator)
            if "fid_by_step" in self.metrics:
                steps = shown_steps(generator.num_steps, NUM_SHOWN)
                scores["fid_by_step"] = self._by_step(sampler, steps)
        return scores

    def of_images(self, draw: Draw, num_images: int) -> dict[str, Any]:
        """Return the scores of images.

        Args:
            draw: maps indices to images uint8 [B C H W].
            num_images: how many there are.
        """
        scores: dict[str, Any] = {"fid": self._metric.score(draw, num_images)}
        for name in self.metrics:
            if name in SAMPLE_METRICS:
                scores |= SAMPLE_METRICS[name](self._metric, self._real_sample)
        return scores

    def fid(self, sampler: Sampler) -> float:
        """Return the FID of a painter; every process must call this."""
        return self._metric.score(self._draw(sampler), self.num_images)

    def _draw(self, sampler: Sampler) -> Draw:
        return lambda indices: sampler(*self._latents(sampler.generator, indices))

    def _latents(
        self, generator: Generator, indices: Sequence[int]
    ) -> tuple[Tensor, Tensor | None]:
        """Return latents [B d_latent] and labels [B], if any, each a function of its index."""
        label = labels_like(self.images, generator, self.seed, indices)
        return latents(self.seed, indices, generator.d_latent), label

    def _by_label(self, sampler: Sampler) -> dict[str, Any]:
        """Return each class's FID to the reals of this class; None where it has fewer than two."""
        names, num = sampler.generator.label_names(), self.num_each
        fids: list[float | None] = []
        for label, name in enumerate(names):
            reals = OneClass(self.images, label)
            if len(reals) < 2:
                fids.append(None)
                continue

            def draw(indices: Sequence[int], label: int = label) -> Tensor:
                z = latents(self.seed, indices, sampler.d_latent)
                return sampler(z, torch.full((len(z),), label))

            fids.append(PaintedFID(self.features, reals).score(draw, num, f"FID of {name}"))
        return {"names": list(names), "fid": fids, "num_images": num}

    def _path_lengths(self, sampler: Sampler) -> dict[str, Any]:
        """Return path lengths in Inception's features between latents, and between styles if any.

        Pair i has the latents 2i and 2i + 1, and one label.
        """
        network = cast(InceptionFeatures, self.features.extractor)
        num, size = self.num_each, -(-self.features.batch_size // 2)
        mine = range(rank(), num, world_size())
        scores = {}
        for space in spaces_of(sampler.generator):
            what = f"path length in {space}"
            speeds = torch.zeros(num, dtype=torch.float64)
            self.features.report(what, 0, num)
            for first in range(0, len(mine), size):
                pairs = mine[first : first + size]
                ends = [2 * pair + last for last in (0, 1) for pair in pairs]
                z = latents(self.seed, ends, sampler.d_latent)
                label = labels_like(self.images, sampler.generator, self.seed, pairs)
                shares = shares_of(self.seed, pairs)
                found = painted_speeds(sampler, network.of_floats, z, label, shares, space)
                speeds[list(pairs)] = found
                self.features.report(what, min((first + size) * world_size(), num), num)
            gathered = summed(speeds.to(self._metric.device)).cpu()
            scores[f"inception_path_length_{space}"] = path_length(gathered)._asdict()
        return scores

    def _by_step(self, sampler: Sampler, steps: list[int]) -> dict[str, Any]:
        """Return the FIDs of the canvas after these painting steps."""
        num = self.num_each
        fids = [
            self._metric.score(self._draw(sampler.at_step(step)), num, f"FID at step {step}")
            for step in steps
        ]
        return {"steps": steps, "fid": fids, "num_images": num}

    def _painting(self, generator: PaintingGenerator) -> dict[str, Any]:
        """Return what painters alone have: ranks, and each step's share in the image."""
        indices, size = range(self.num_each), self.features.batch_size
        ranks, shares = [], []
        for start in range(0, len(indices), size):
            z, label = self._latents(generator, indices[start : start + size])
            with evaluating(generator):
                like = next(generator.parameters())
                label = None if label is None else label.to(like.device)
                painting = generator.paint(z.to(like), label)
                ranks.append(effective_rank(painting.image()).flatten())
                shares.append(step_shares(painting))
        return {
            "effective_rank": float(torch.cat(ranks).mean()),
            "step_shares": torch.cat(shares).mean(dim=0).tolist(),
        }


def least_images(metrics: Sequence[str]) -> int:
    """Return how many images metrics need, of the reals and of the fakes."""
    return LEAST_SINGLE if SAMPLE_METRICS.keys() & set(metrics) else 2


def check_metrics(metrics: Sequence[str]) -> None:
    """Raise ValueError at a metric that there is not."""
    for name in metrics:
        if name not in METRICS:
            raise ValueError(f"metrics: {name!r} is none of {', '.join(METRICS)}")


def not_of(generator: Generator, metrics: Sequence[str]) -> dict[str, str]:
    """Return which metrics a generator has no scores by, each with the reason."""
    reasons = {} if generator.num_labels else {"fid_by_label": "it paints no classes"}
    if not isinstance(generator, PaintingGenerator):
        reasons |= dict.fromkeys(PAINTER_METRICS, "it does not paint in steps")
    return {name: reason for name, reason in reasons.items() if name in metrics}
