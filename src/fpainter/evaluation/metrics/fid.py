"""The Fréchet Inception Distance of a painter."""

import functools
import logging

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from fpainter.evaluation.features import Draw, Features, Images
from fpainter.evaluation.metrics.frechet import Moments, frechet_distance
from fpainter.evaluation.processes import rank, summed, world_size

log = logging.getLogger(__name__)


class PaintedFID(FrechetInceptionDistance):
    """torchmetrics' FID of features, with cached reals and a faster, symmetric Fréchet distance.

    `update(features, real=False)` adds those of painted images, `compute()` gives the distance to
    the reals, to which `real=True` adds, and `reset()` forgets the painted ones only.

    Args:
        features: the feature network and what it is given; the metric goes to its device.
        images: the real images.
        num_kept: features of the first so many painted images are kept for metrics that need
            single features; 0 keeps none.

    Attributes:
        statistics: of the reals.
        sample: features [K F] of the painted images that the last `score` kept, in their order.
    """

    def __init__(self, features: Features, images: Images, num_kept: int = 0) -> None:
        extracted = nn.Identity()
        extracted.num_features = features.extractor.num_features  # type: ignore[assignment]
        super().__init__(extracted, reset_real_features=False)
        self.features = features
        self.num_kept = num_kept
        self.sample = torch.empty(0)
        self.statistics = features.statistics(images)
        self.to(features.extractor.device)
        # States are summed over processes: in all but the first the reals count nothing.
        num = self.statistics.moments.num if rank() == 0 else 0
        mean = self.statistics.moments.mean.to(self.device)
        cov = self.statistics.moments.cov.to(self.device)
        self.real_features_num_samples += num
        self.real_features_sum += num * mean
        self.real_features_cov_sum += max(num - 1, 0) * cov + num * torch.outer(mean, mean)

    def score(self, draw: Draw, num_images: int, what: str = "FID") -> float:
        """Draw exactly `num_images` images and return their distance to the reals.

        Where image i depends on i alone, the score depends neither on the batch size nor on the
        number of processes, all of which must call this.

        Args:
            draw: maps indices to images uint8 [B C H W].
            num_images: over all processes, at least 2 and at least one for each.
            what: is being done, for the report.

        Raises:
            ValueError: if there are too few images.
        """
        least, size = max(2, world_size()), self.features.extractor.num_features
        if num_images < least:
            raise ValueError(f"num_images must be at least {least}, got {num_images}")
        if num_images < size:
            _note_small_sample(size)
        self.reset()
        sample = torch.zeros(min(self.num_kept, num_images), size, device=self.device)
        for indices, features in self.features.extract(draw, num_images, what):
            self.update(features, real=False)
            kept = [index for index in indices if index < len(sample)]
            sample[kept] = features[: len(kept)].float()
        self.sample = summed(sample)
        if num_images >= size:  # a sample that is worth it takes half a minute on a busy core
            log.info("%s: %s images are in; computing the distance", what, f"{num_images:,}")
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
        # With further reals the cached root would be another distribution's.
        cached = self.statistics.moments.num == real.num
        root = self.statistics.sqrt_cov.to(real.cov) if cached else None
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
