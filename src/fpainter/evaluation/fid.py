"""The Fréchet Inception Distance of a painter."""

import functools
import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from fpainter.evaluation.frechet import Moments, frechet_distance
from fpainter.evaluation.latents import latents
from fpainter.evaluation.protocols import Protocol
from fpainter.evaluation.statistics import RealStatistics

log = logging.getLogger(__name__)


class PaintedFID(FrechetInceptionDistance):
    """torchmetrics' FID with cached real statistics and a faster, symmetric Fréchet distance.

    `update(images, real=False)` adds painted images, `compute()` gives the distance to the reals
    handed over by `preload` (or added with `real=True`), `reset()` forgets the painted ones only.
    It holds the feature network: an attribute of a LightningModule would put that into every
    checkpoint, so keep it in a callback.

    Args:
        extractor: maps `[B C H W]` uint8 to `[B F]`; has `num_features` = F.

    Attributes:
        protocol: name of the protocol of the preloaded reals; None without them.
    """

    def __init__(self, extractor: nn.Module) -> None:
        super().__init__(feature=extractor, reset_real_features=False)
        self._sqrt_real: Tensor | None = None
        self._num_preloaded = 0
        self.protocol: str | None = None

    def preload(self, statistics: RealStatistics, rank: int = 0) -> None:
        """Takes the reals from `statistics` and forgets any that were there.

        States are summed over processes, so only rank 0 takes them and the others take zeros;
        otherwise every real image would count once per process.

        Args:
            statistics: of the real images.
            rank: of this process; each process must call this.

        Raises:
            ValueError: if the statistics are of another network.
        """
        if statistics.moments.mean.shape != self.real_features_sum.shape:
            raise ValueError(
                f"the statistics are of {len(statistics.moments.mean)} features, the network has "
                f"{len(self.real_features_sum)}"
            )
        weights = getattr(self.inception, "weights_sha256", statistics.weights_sha256)
        if weights != statistics.weights_sha256:
            raise ValueError(
                f"the statistics are of the weights {statistics.weights_sha256}, the network has "
                f"{weights}"
            )
        num = statistics.moments.num
        mean = statistics.moments.mean.to(self.real_features_sum.device)
        cov = statistics.moments.cov.to(mean.device)
        share = 1 if rank == 0 else 0
        self.real_features_sum = share * num * mean
        self.real_features_cov_sum = share * ((num - 1) * cov + num * torch.outer(mean, mean))
        self.real_features_num_samples = torch.tensor(share * num, device=mean.device)
        self._sqrt_real, self._num_preloaded = statistics.sqrt_cov, num
        self.protocol = statistics.protocol
        self._computed = None

    def compute(self) -> Tensor:
        """Returns the distance of everything updated so far, over all processes.

        Returns:
            Scalar float64.

        Raises:
            ValueError: if there are fewer than 2 real or 2 painted images.
        """
        real = _moments(
            self.real_features_num_samples, self.real_features_sum, self.real_features_cov_sum
        )
        fake = _moments(
            self.fake_features_num_samples, self.fake_features_sum, self.fake_features_cov_sum
        )
        # Real images added after `preload` would make the cached root another distribution's.
        fresh = self._sqrt_real is not None and real.num == self._num_preloaded
        root = self._sqrt_real.to(real.cov) if self._sqrt_real is not None and fresh else None
        distance = frechet_distance(real, fake, root)
        return torch.tensor(distance, dtype=torch.float64, device=real.cov.device)


def _moments(num: Tensor, total: Tensor, outer: Tensor) -> Moments:
    """Moments from n, Σ x `[F]` and Σ x xᵀ `[F F]`; zeros where n < 2, which nobody may use."""
    n = int(num)
    mean = total / max(n, 1)
    return Moments(n, mean, (outer - n * torch.outer(mean, mean)) / max(n - 1, 1))


@functools.cache
def _note_small_sample(num_features: int) -> None:
    """Says once that the score will be high; cached so that it is said once."""
    log.info(
        "FID of fewer than %d images: comparable with itself, too high in itself", num_features
    )


def score_fid(
    paint: Callable[[Tensor], Tensor],
    d_latent: int,
    num_images: int,
    seed: int,
    metric: PaintedFID,
    protocol: Protocol,
    batch_size: int,
    device: torch.device | str,
    rank: int = 0,
    world_size: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> float:
    """Paints exactly `num_images` images and scores them.

    Sample i is painted from `latents(seed, [i], d_latent)`, so the score depends neither on
    `batch_size` nor on `world_size`. Process r takes the samples r, r + world_size, …; with several
    processes each must call this, since the metric sums its states over them.

    Args:
        paint: maps latents `[B d_latent]` on `device` to `[B C H W]` uint8.
        d_latent: entries of a latent.
        num_images: over all processes, at least 2 and at least `world_size`.
        seed: of the latents.
        metric: with the reals preloaded; its painted images are forgotten first.
        protocol: the one the reals went through.
        batch_size: images per call of `paint`.
        device: of the painter and the metric.
        rank: of this process, in [0, world_size).
        world_size: number of processes.
        progress: called with (images done, images in total) of this process after each batch.

    Returns:
        The FID.

    Raises:
        ValueError: if a number is out of range or the reals went through another protocol.
    """
    if batch_size < 1 or not 0 <= rank < world_size or num_images < max(2, world_size):
        raise ValueError(
            "need batch_size ≥ 1, 0 ≤ rank < world_size and num_images ≥ max(2, world_size), got "
            f"{batch_size=}, {rank=}, {world_size=}, {num_images=}"
        )
    if metric.protocol not in (None, protocol.name):
        raise ValueError(
            f"the reals went through the protocol {metric.protocol!r}, the painted images would go "
            f"through {protocol.name!r}"
        )
    num_features = metric.fake_features_sum.shape[0]
    if num_images < num_features:
        _note_small_sample(num_features)
    metric.reset()
    mine = range(rank, num_images, world_size)
    for start in range(0, len(mine), batch_size):
        indices = mine[start : start + batch_size]
        images = paint(latents(seed, indices, d_latent).to(device))
        metric.update(protocol.apply(images).to(metric.device), real=False)
        if progress is not None:
            progress(start + len(indices), len(mine))
    return float(metric.compute())
