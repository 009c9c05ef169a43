"""The Fréchet Inception Distance of a painter."""

import functools
import logging
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.utilities import dim_zero_cat

from fpainter.evaluation.features import Draw, Features, Images, RealStatistics
from fpainter.evaluation.metrics.frechet import Moments, frechet_distance
from fpainter.evaluation.processes import rank, world_size

log = logging.getLogger(__name__)


class PaintedFID(FrechetInceptionDistance):
    """torchmetrics' FID with cached real statistics and a faster, symmetric Fréchet distance.

    `update(images, real=False)` adds painted images, `compute()` gives the distance to the reals
    handed over by `preload` (or added with `real=True`), `reset()` forgets the painted ones only.

    Args:
        features: the feature network and what it is given; the metric goes to its device.
        num_kept: features of the first so many painted images are kept for metrics that need
            single features; 0 keeps none.

    Attributes:
        sample: features [K F] of the painted images that were kept, in their order, as the last
            `compute()` found them in all processes.
        statistics: of the preloaded reals.
    """

    kept: list[Tensor]
    kept_indices: list[Tensor]

    def __init__(self, features: Features, num_kept: int = 0) -> None:
        extracted = nn.Identity()
        extracted.num_features = features.extractor.num_features  # type: ignore[assignment]
        super().__init__(extracted, reset_real_features=False)
        self.features = features
        self.add_state("kept", default=[], dist_reduce_fx="cat")
        self.add_state("kept_indices", default=[], dist_reduce_fx="cat")
        self.num_kept = num_kept
        self.sample = torch.empty(0)
        self.statistics: RealStatistics | None = None
        self.to(features.extractor.device)

    def update(
        self, imgs: Tensor, real: bool = False, indices: Sequence[int] | None = None
    ) -> None:
        """Add images.

        Args:
            imgs: uint8 [B C H W], as the protocol has left them.
            real: whether they are real.
            indices: which of all painted images they are; None keeps no features of them.
        """
        features = self.features.extractor(imgs)
        super().update(features, real)
        if indices is not None and not real:
            places = torch.tensor(list(indices), device=features.device)
            chosen = places < self.num_kept
            self.kept.append(features[chosen])
            self.kept_indices.append(places[chosen])

    def preload(self, images: Images) -> None:
        """Take the statistics of real images and forget any reals that were there.

        States are summed over processes, so only the first takes them and the others take zeros;
        otherwise every real image would count once per process.

        Args:
            images: the real images; each process must call this.
        """
        self.statistics = self.features.statistics(images)
        num = self.statistics.moments.num
        mean = self.statistics.moments.mean.to(self.real_features_sum.device)
        cov = self.statistics.moments.cov.to(mean.device)
        share = 1 if rank() == 0 else 0
        self.real_features_sum = share * num * mean
        self.real_features_cov_sum = share * ((num - 1) * cov + num * torch.outer(mean, mean))
        self.real_features_num_samples = torch.tensor(share * num, device=mean.device)
        self._computed = None

    def score(self, draw: Draw, num_images: int, what: str = "FID") -> float:
        """Draw exactly `num_images` images and return their distance to the preloaded reals.

        Where image i depends on i alone, the score depends neither on the batch size nor on the
        number of processes, all of which must call this.

        Args:
            draw: maps indices to images uint8 [B C H W].
            num_images: over all processes, at least 2 and at least one for each.
            what: is being done, for the report.

        Raises:
            ValueError: if there are too few images.
        """
        least = max(2, world_size())
        if num_images < least:
            raise ValueError(f"num_images must be at least {least}, got {num_images}")
        if num_images < self.features.extractor.num_features:
            _note_small_sample(self.features.extractor.num_features)
        self.reset()
        for indices, images in self.features.batches(draw, num_images, what):
            self.update(images, indices=indices)
        return float(self.compute())

    def compute(self) -> Tensor:
        """Return the distance of everything updated so far, over all processes.

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
        root = None
        # Real images added after `preload` would make the cached root another distribution's.
        if self.statistics is not None and self.statistics.moments.num == real.num:
            root = self.statistics.sqrt_cov.to(real.cov)
        distance = frechet_distance(real, fake, root)
        return torch.tensor(distance, dtype=torch.float64, device=real.cov.device)


def _moments(num: Tensor, total: Tensor, outer: Tensor) -> Moments:
    """Return moments from n, Σ x [F] and Σ x xᵀ [F F]; zeros where n < 2, not to be used."""
    n = int(num)
    mean = total / max(n, 1)
    return Moments(n, mean, (outer - n * torch.outer(mean, mean)) / max(n - 1, 1))


@functools.cache
def _note_small_sample(num_features: int) -> None:
    """Say once that the score will be high; cached so that it is said once."""
    log.info(
        "FID of fewer than %d images: comparable with itself, too high in itself", num_features
    )
