"""Scores of a painter, or of a set of images, from the names and numbers of a config."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fpainter.data.cache import default_cache_dir
from fpainter.evaluation.inception.network import load_inception
from fpainter.evaluation.metrics.fid import PaintedFID, score_fid
from fpainter.evaluation.metrics.painting import effective_rank, step_shares
from fpainter.evaluation.metrics.sample import NEED_REALS, SAMPLE_METRICS, Samples
from fpainter.evaluation.protocols import get_protocol
from fpainter.evaluation.statistics import Images, real_sample, real_statistics
from fpainter.generators.base import PaintingGenerator
from fpainter.generators.latents import latents
from fpainter.generators.painting import shown_steps
from fpainter.generators.sampler import Sampler, evaluating

Progress = Callable[[str, int, int], None]

PAINTER_METRICS = ("fid_by_step", "painting")  # of painters only
METRICS = ("fid", *SAMPLE_METRICS, *PAINTER_METRICS)
NUM_SHOWN = 8  # painting steps at which the FID is taken
AT_MOST = 2_000  # images for what is measured at each step


class Scorer:
    """Loads the feature network and the real statistics once, then scores any number of painters.

    Args:
        images: the real images.
        metrics: names out of `METRICS`; the FID is always there.
        cache_dir: where their statistics are kept; None for the user's cache.
        protocol: name of the protocol that reals and fakes go through.
        num_images: fakes per score.
        num_kept: of them, those whose single features the metrics other than the FID see.
        weights_path: Inception weights; None looks for the installed ones.
        seed: of the fakes' latents.
        batch_size: images per forward pass.
        device: of the feature network and of the painters.
        rank: of this process.
        world_size: number of processes; each scores its share.
        progress: called with (what is being done, images done, images in total).

    Raises:
        UserError: if there are no Inception weights.
        ValueError: if an option is out of range or a metric unknown.
    """

    def __init__(
        self,
        images: Images,
        metrics: Sequence[str] = ("fid",),
        cache_dir: str | Path | None = None,
        protocol: str = "png",
        num_images: int = 10_000,
        num_kept: int = 10_000,
        weights_path: str | Path | None = None,
        seed: int = 0,
        batch_size: int = 64,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world_size: int = 1,
        progress: Progress | None = None,
    ) -> None:
        if min(num_images, num_kept) < max(2, world_size) or batch_size < 1:
            raise ValueError(
                f"num_images and num_kept must be at least {max(2, world_size)} and batch_size at "
                f"least 1; got {num_images}, {num_kept} and {batch_size}"
            )
        self.metrics = check_metrics(metrics)
        self.protocol = get_protocol(protocol)
        self.num_images = num_images
        self.seed = seed
        self.batch_size = batch_size
        self.device = device
        self.rank = rank
        self.world_size = world_size
        self.progress = progress or (lambda what, done, total: None)
        self.network = load_inception(weights_path, self.protocol).to(device)
        cache = Path(cache_dir).expanduser() if cache_dir else default_cache_dir()
        self.statistics = real_statistics(
            images,
            self.network,
            self.protocol,
            cache,
            batch_size,
            device=device,
            progress=lambda done, total: self.progress("statistics of the reals", done, total),
        )
        self.real_sample = torch.empty(0)
        if NEED_REALS & set(self.metrics):
            self.real_sample = real_sample(
                images,
                self.network,
                self.protocol,
                cache,
                num_kept,
                batch_size,
                device,
                lambda done, total: self.progress("features of the reals", done, total),
            )
        needs_sample = SAMPLE_METRICS.keys() & set(self.metrics)
        self.metric = PaintedFID(self.network, num_kept if needs_sample else 0).to(device)
        self.metric.preload(self.statistics, rank)

    def __call__(self, sampler: Sampler) -> dict[str, Any]:
        """Return the scores of a painter by name; every process must call this."""
        scores = self.of_images(self._draw(sampler), self.num_images)
        if isinstance(sampler.generator, PaintingGenerator) and sampler.step is None:
            if "painting" in self.metrics:
                scores |= self._painting(sampler)
            if "fid_by_step" in self.metrics:
                scores["fid_by_step"] = self._by_step(sampler)
        return scores

    def of_images(self, draw: Callable[[Sequence[int]], Tensor], num_images: int) -> dict[str, Any]:
        """Return the scores of images.

        Args:
            draw: maps indices to images [B C H W] uint8.
            num_images: how many there are.
        """
        scores: dict[str, Any] = {"fid": self._fid(draw, num_images, "FID")}
        sample = self.metric.sample
        for name in self.metrics:
            if name in SAMPLE_METRICS and sample is not None:
                samples = Samples(self.real_sample, sample.cpu(), self.statistics, self.network)
                scores |= SAMPLE_METRICS[name](samples)
        return scores

    def fid(self, sampler: Sampler) -> float:
        """Return the FID of a painter; every process must call this."""
        return self._fid(self._draw(sampler), self.num_images, "FID")

    def _fid(self, draw: Callable[[Sequence[int]], Tensor], num: int, what: str) -> float:
        return score_fid(
            draw,
            num,
            self.metric,
            self.protocol,
            self.batch_size,
            self.rank,
            self.world_size,
            lambda done, total: self.progress(what, done, total),
        )

    def _draw(self, sampler: Sampler) -> Callable[[Sequence[int]], Tensor]:
        return lambda indices: sampler(latents(self.seed, indices, sampler.d_latent))

    def _by_step(self, sampler: Sampler) -> dict[str, Any]:
        """Return the FID of the canvas after some of the painting steps."""
        assert isinstance(sampler.generator, PaintingGenerator)
        steps = shown_steps(sampler.generator.num_steps, NUM_SHOWN)
        num = min(self.num_images, AT_MOST)
        fids = [
            self._fid(self._draw(sampler.at_step(step)), num, f"FID at step {step}")
            for step in steps
        ]
        return {"steps": steps, "fid": fids, "num_images": num}

    def _painting(self, sampler: Sampler) -> dict[str, Any]:
        """Return what painters alone have: ranks, and each step's share in the image."""
        generator = sampler.generator
        assert isinstance(generator, PaintingGenerator)
        ranks, shares = [], []
        for start in range(0, min(self.num_images, AT_MOST), self.batch_size):
            indices = range(start, min(start + self.batch_size, self.num_images, AT_MOST))
            z = latents(self.seed, indices, sampler.d_latent)
            with evaluating(generator):
                painting = generator.paint(z.to(next(generator.parameters())))
                ranks.append(effective_rank(painting.image()).flatten())
                shares.append(step_shares(painting))
        return {
            "effective_rank": float(torch.cat(ranks).mean()),
            "step_shares": torch.cat(shares).mean(dim=0).tolist(),
        }


def check_metrics(metrics: Sequence[str]) -> tuple[str, ...]:
    """Return the metrics, or raise ValueError at one that there is not."""
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise ValueError(f"metrics: {unknown[0]!r} is none of {', '.join(METRICS)}")
    return tuple(metrics)
