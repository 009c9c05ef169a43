"""The Fréchet Inception Distance of a painter."""

import functools
import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.utilities import dim_zero_cat

from fpainter.evaluation.metrics.frechet import Moments, frechet_distance
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
        num_kept: features of the first so many painted images are kept for metrics that need
            single features; 0 keeps none.

    Attributes:
        protocol: name of the protocol of the preloaded reals; None without them.
        sample: features `[K F]` of the painted images that were kept, in their order, as the last
            `compute()` found them in all processes; None before.
    """

    kept: list[Tensor]
    kept_indices: list[Tensor]

    def __init__(self, extractor: nn.Module, num_kept: int = 0) -> None:
        super().__init__(feature=extractor, reset_real_features=False)
        self.add_state("kept", default=[], dist_reduce_fx="cat")
        self.add_state("kept_indices", default=[], dist_reduce_fx="cat")
        self.num_kept = num_kept
        self.sample: Tensor | None = None
        self._sqrt_real: Tensor | None = None
        self._num_preloaded = 0
        self.protocol: str | None = None

    def update(
        self, imgs: Tensor, real: bool = False, indices: Sequence[int] | None = None
    ) -> None:
        """Adds images.

        Args:
            imgs: `[B C H W]` uint8.
            real: whether they are real.
            indices: which of all painted images they are; None keeps no features of them.
        """
        features = self.inception(imgs)
        side = "real" if real else "fake"
        x = features.double()
        for name, addend in [
            ("sum", x.sum(dim=0)),
            ("cov_sum", x.T @ x),
            ("num_samples", torch.tensor(len(x), device=x.device)),
        ]:
            state = f"{side}_features_{name}"
            setattr(self, state, getattr(self, state) + addend)
        if indices is not None and not real:
            places = torch.tensor(list(indices), device=x.device)
            chosen = places < self.num_kept
            self.kept.append(features[chosen])
            self.kept_indices.append(places[chosen])

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
        if self.num_kept:
            order = dim_zero_cat(self.kept_indices).argsort()
            self.sample = dim_zero_cat(self.kept)[order]
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
    draw: Callable[[Sequence[int]], Tensor],
    num_images: int,
    metric: PaintedFID,
    protocol: Protocol,
    batch_size: int,
    rank: int = 0,
    world_size: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> float:
    """Draws exactly `num_images` images and scores them.

    Where image i depends on i alone, the score depends neither on `batch_size` nor on
    `world_size`. Process r takes the images r, r + world_size, …; with several processes each must
    call this, since the metric sums its states over them.

    Args:
        draw: maps indices to images `[B C H W]` uint8.
        num_images: over all processes, at least 2 and at least `world_size`.
        metric: with the reals preloaded; its painted images are forgotten first.
        protocol: the one the reals went through.
        batch_size: images per call of `draw`.
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
        images = protocol.apply(draw(indices)).to(metric.device)
        metric.update(images, indices=indices)
        if progress is not None:
            progress(start + len(indices), len(mine))
    return float(metric.compute())
