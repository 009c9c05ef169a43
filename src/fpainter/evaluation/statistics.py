"""What is known about the real images, computed once and kept on disk."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol as Interface

import torch
from torch import Tensor

from fpainter.evaluation.metrics.frechet import Moments, RunningMoments, matrix_sqrt
from fpainter.evaluation.protocols import Protocol
from fpainter.evaluation.statistics_file import cache_path, cached, write

# Raise this when the numbers in the file would come out otherwise.
_VERSION = 1


class Images(Interface):
    """A set of images that can be read by index."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever a pixel or the order does."""

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int], /) -> Tensor:
        """Returns `[B C H W]` uint8."""


class Extractor(Interface):
    """A frozen feature network, such as `InceptionFeatures`."""

    @property
    def num_features(self) -> int:
        """F, the length of a feature vector."""

    @property
    def weights_sha256(self) -> str:
        """Names the weights."""

    def __call__(self, images: Tensor, /) -> Tensor:
        """Maps `[B C H W]` uint8 to `[B F]`."""


@dataclass(frozen=True, eq=False)
class RealStatistics:
    """What a FID needs to know about the real images.

    Attributes:
        moments: of their features.
        sqrt_cov: `[F F]` float64, `matrix_sqrt(moments.cov)`.
        key: SHA-256 of everything the numbers depend on; also the file's name.
        protocol: name of the protocol the images went through.
        num_images: how many were used.
        weights_sha256: of the feature network.
    """

    moments: Moments
    sqrt_cov: Tensor
    key: str
    protocol: str
    num_images: int
    weights_sha256: str


def real_statistics(
    images: Images,
    extractor: Extractor,
    protocol: Protocol,
    cache_dir: str | Path,
    batch_size: int = 64,
    max_images: int | None = None,
    device: torch.device | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> RealStatistics:
    """Reads the statistics from `<cache_dir>/statistics/<key>.safetensors`, or computes them.

    The file appears whole or not at all, so several processes may ask at once; letting one of them
    ask first saves the others the work.

    Args:
        images: the real images.
        extractor: the feature network, already on `device`.
        protocol: what is done to the images first.
        cache_dir: folder of the cache; created if need be.
        batch_size: images per call of `extractor`.
        max_images: use at most that many, spread evenly over the set; None: all.
        device: where batches are sent; None: they stay where `images` puts them.
        progress: called with (images done, images in total) after each batch.

    Returns:
        The statistics, on the CPU.

    Raises:
        ValueError: if a number is out of range or there are fewer than 2 images.
    """
    if batch_size < 1 or (max_images is not None and max_images < 2):
        raise ValueError(
            f"batch_size must be at least 1 and max_images at least 2 or None, got {batch_size} "
            f"and {max_images}"
        )
    total = len(images) if max_images is None else min(len(images), max_images)
    if total < 2:
        raise ValueError(f"statistics need at least 2 images, got {total}")
    _check_prepared(extractor, protocol)
    num_features = extractor.num_features
    square = (num_features, num_features)
    shapes = {"mean": (num_features,), "cov": square, "sqrt_cov": square}

    def compute() -> dict[str, Tensor]:
        running = RunningMoments()
        for features in _features(images, extractor, protocol, total, batch_size, device, progress):
            running.add(features)
        found = running.moments()
        return {"mean": found.mean, "cov": found.cov, "sqrt_cov": matrix_sqrt(found.cov)}

    key = _key(images, extractor, protocol, total)
    found = cached(cache_dir, key, shapes, total, compute)
    return RealStatistics(
        Moments(total, found["mean"], found["cov"]),
        found["sqrt_cov"],
        key,
        protocol.name,
        total,
        extractor.weights_sha256,
    )


def store_statistics(
    moments: Moments,
    images: Images,
    extractor: Extractor,
    protocol: Protocol,
    cache_dir: str | Path,
) -> Path:
    """Puts moments that were computed elsewhere where `real_statistics` looks for them.

    Args:
        moments: of the features of all images, as float64.
        images: see `real_statistics`, like all that is not described here.
        extractor: see there.
        protocol: see there.
        cache_dir: see there.

    Returns:
        The file.

    Raises:
        ValueError: if the moments are of other features or of another number of images.
    """
    _check_prepared(extractor, protocol)
    if moments.num != len(images) or len(moments.mean) != extractor.num_features:
        raise ValueError(
            f"moments of {moments.num} images and {len(moments.mean)} features do not fit "
            f"{len(images)} images and {extractor.num_features} features"
        )
    path = cache_path(cache_dir, _key(images, extractor, protocol, len(images)))
    tensors = {"mean": moments.mean, "cov": moments.cov, "sqrt_cov": matrix_sqrt(moments.cov)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, tensors, moments.num)
    return path


def real_sample(
    images: Images,
    extractor: Extractor,
    protocol: Protocol,
    cache_dir: str | Path,
    num: int,
    batch_size: int = 64,
    device: torch.device | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Reads single features from ``<cache_dir>/statistics/<key>.safetensors``, or computes them.

    Args:
        images: the real images, of which `num` are taken, spread evenly over the set.
        extractor: see `real_statistics`, like all that is not described here.
        protocol: see there.
        cache_dir: see there.
        num: how many; all if there are fewer.
        batch_size: see there.
        device: see there.
        progress: see there.

    Returns:
        `[num F]` float32 on the CPU.
    """
    _check_prepared(extractor, protocol)
    total = min(num, len(images))

    def compute() -> dict[str, Tensor]:
        parts = _features(images, extractor, protocol, total, batch_size, device, progress)
        return {"features": torch.cat([part.cpu() for part in parts])}

    key = _key(images, extractor, protocol, total, "sample")
    shapes = {"features": (total, extractor.num_features)}
    return cached(cache_dir, key, shapes, total, compute)["features"]


def _features(
    images: Images,
    extractor: Extractor,
    protocol: Protocol,
    total: int,
    batch_size: int,
    device: torch.device | str | None,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Tensor]:
    """Yields the features of `total` images, batch by batch."""
    # Spread evenly, because file names often sort images by class or by origin.
    indices = [position * len(images) // total for position in range(total)]
    for start in range(0, total, batch_size):
        chosen = indices[start : start + batch_size]
        yield extractor(protocol.apply(images.batch(chosen).to(device)))
        if progress is not None:
            progress(start + len(chosen), total)


def _check_prepared(extractor: Extractor, protocol: Protocol) -> None:
    if getattr(extractor, "prepare", protocol.prepare) is not protocol.prepare:
        raise ValueError(
            f"the network prepares images otherwise than the protocol {protocol.name!r}: build it "
            "with load_inception(weights, protocol)"
        )


def _key(images: Images, extractor: Extractor, protocol: Protocol, total: int, *what: str) -> str:
    parts = [images.fingerprint, protocol.name, extractor.weights_sha256, total, _VERSION, *what]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
