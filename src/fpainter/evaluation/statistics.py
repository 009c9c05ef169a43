"""Moments of the real images, computed once and kept on disk."""

import hashlib
import json
import logging
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol as Interface

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fpainter.evaluation.frechet import Moments, RunningMoments, matrix_sqrt
from fpainter.evaluation.protocols import Protocol

log = logging.getLogger(__name__)

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
    parts = [images.fingerprint, protocol.name, extractor.weights_sha256, total, _VERSION]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    path = Path(cache_dir) / "statistics" / f"{key}.safetensors"
    cached = _read(path, total, extractor.num_features)
    if cached is None:
        # Spread evenly, because file names often sort images by class or by origin.
        indices = [position * len(images) // total for position in range(total)]
        running = RunningMoments()
        for start in range(0, total, batch_size):
            batch = images.batch(indices[start : start + batch_size])
            running.add(extractor(protocol.apply(batch.to(device))))
            if progress is not None:
                progress(running.num, total)
        moments = running.moments()
        cached = moments, matrix_sqrt(moments.cov)
        _write(path, *cached)
    return RealStatistics(*cached, key, protocol.name, total, extractor.weights_sha256)


def _read(path: Path, num: int, num_features: int) -> tuple[Moments, Tensor] | None:
    """Moments and square root from a file; None if it is missing or damaged."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            mean, cov, root = (file.get_tensor(name) for name in ("mean", "cov", "sqrt_cov"))
            stored = int((file.metadata() or {}).get("num", "-1"))
    except (SafetensorError, OSError, ValueError) as error:
        log.warning("%s cannot be read (%s); computing the statistics again", path, error)
        return None
    square = (num_features, num_features)
    shapes = tuple(mean.shape), tuple(cov.shape), tuple(root.shape)
    if stored != num or shapes != ((num_features,), square, square):
        log.warning("%s does not hold what its name says; computing the statistics again", path)
        return None
    return Moments(num, mean, cov), root


def _write(path: Path, moments: Moments, root: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
    try:
        tensors = {"mean": moments.mean, "cov": moments.cov, "sqrt_cov": root}
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, temporary, metadata={"num": str(moments.num)})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
