"""Does a painter copy: how near its images are to training images, and how near reals are."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from fpainter.evaluation.features import Draw, Features, Images
from fpainter.evaluation.metrics.nearest import Nearest, nearest_images

CLOSE = (1, 50)  # percentiles of the reals' distances that painted images are compared with


@dataclass(frozen=True)
class Mirrored:
    """A set of images, mirrored left-right.

    Attributes:
        images: the images.
    """

    images: Images

    @property
    def fingerprint(self) -> str:
        """Changes with that of the images."""
        return f"{self.images.fingerprint} mirrored"

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Sequence[int], /) -> Tensor:
        """Return images uint8 [B C H W]."""
        return self.images.batch(indices).flip(-1)


@dataclass(frozen=True, eq=False)
class Copies:
    """How near M painted images are to training images, beside how near R held-back reals are.

    A real that is held back is looked for among all other training images, so that reals and
    painted images are compared with sets that differ by one image. Where the painted images are
    new and as varied as the reals, both have the same distances; where they are copies, theirs
    are much smaller. Of images that are not like the reals they are larger, and so are those of
    poor copies: with noise of 12 levels on mirrored cats of 32 × 32 pixels, none was nearer than
    the nearest 1 % of the reals. Then only the picture tells.

    Attributes:
        painted: the training images that are nearest to each painted one, [M K].
        held_back: distances [R] float64 of held-back reals to the nearest other, increasing.
    """

    painted: Nearest
    held_back: Tensor

    @cached_property
    def order(self) -> list[int]:
        """Return the numbers of the painted images, the one nearest to a training image first."""
        return self.painted.distance[:, 0].argsort(stable=True).tolist()

    @cached_property
    def percentile(self) -> Tensor:
        """Return what percentage of held-back reals is nearer than each painted image, [M]."""
        nearer = torch.searchsorted(self.held_back, self.painted.distance[:, 0].contiguous())
        return 100 * nearer.double() / len(self.held_back)

    def share(self, percentile: float) -> float:
        """Return the share of painted images below a percentile of the reals, in [0, 1]."""
        return float((self.percentile < percentile).double().mean())

    def verdict(self) -> str:
        """Return what was found, as a sentence."""
        low, half = (f"{100 * self.share(percentile):.1f} %" for percentile in CLOSE)
        return (
            f"{low} of {len(self.percentile):,} samples are nearer to a training image than the "
            f"nearest {CLOSE[0]} % of {len(self.held_back):,} held-back reals are to another, "
            f"and {half} nearer than their median; of new images as varied as the reals, "
            f"{CLOSE[0]} % and {CLOSE[1]} % would be"
        )


def find_copies(
    features: Features, images: Images, draw: Draw, num: int, k: int, num_held_back: int
) -> Copies:
    """Compare painted images with training images and their mirror images.

    The features of both are kept in the cache: the first time costs two passes over all images.

    Args:
        features: the feature network, the protocol and the cache.
        images: the training images.
        draw: maps indices to painted images uint8 [B C H W].
        num: painted images, at least 1.
        k: training images found for each.
        num_held_back: reals whose nearest others are looked for, at least 1: always the same of a
            set; all if there are fewer.

    Raises:
        ValueError: if there are fewer than `k` training images or fewer than 2.
    """
    if len(images) < max(2, k):
        raise ValueError(
            f"{k} neighbours need at least {max(2, k)} training images, got {len(images)}"
        )
    painted = features.gather(draw, num, "features of the samples")
    reals, mirrored = (features.sample(each, len(images)) for each in (images, Mirrored(images)))
    shuffled = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    own = shuffled[:num_held_back]
    held_back = nearest_images(reals[own], reals, mirrored, own=own).distance[:, 0]
    return Copies(nearest_images(painted, reals, mirrored, k), held_back.sort().values)
