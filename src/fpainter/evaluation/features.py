"""How images become features, and what is kept on disk of those of the real images."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol as Interface

import torch
from torch import Tensor

from fpainter.data.cache import default_cache_dir
from fpainter.errors import UserError
from fpainter.evaluation.inception.network import load_inception
from fpainter.evaluation.metrics.frechet import Moments, RunningMoments, matrix_sqrt
from fpainter.evaluation.processes import from_first, rank, summed, world_size
from fpainter.evaluation.protocols import Protocol, get_protocol
from fpainter.evaluation.statistics_file import cached, write
from fpainter.progress import Report

log = logging.getLogger(__name__)

# Reals of a set whose single features are kept beside its statistics, 8 kB each.
MOST_KEPT = 100_000

# Raise this when the numbers in the file would come out otherwise.
_VERSION = 1

Draw = Callable[[Sequence[int]], Tensor]  # indices -> images uint8 [B C H W]


class Images(Interface):
    """A set of images that can be read by index.

    A part of another set may have the attributes `whole`, that set, and `places`, the indices in
    it: then it needs no pass of its own where the features of the whole set are kept.
    """

    @property
    def fingerprint(self) -> str:
        """Changes whenever a pixel or the order does."""

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int], /) -> Tensor:
        """Return images uint8 [B C H W]."""


class Extractor(Interface):
    """A frozen feature network, such as `InceptionFeatures`.

    Attributes:
        num_features: F, the length of a feature vector.
        weights_sha256: names the weights.
    """

    num_features: int
    weights_sha256: str

    @property
    def device(self) -> torch.device:
        """Where the network is."""

    def __call__(self, images: Tensor, /) -> Tensor:
        """Map images uint8 [B C H W] to features [B F]."""


@dataclass(frozen=True, eq=False)
class RealStatistics:
    """What a FID needs to know about the real images.

    Attributes:
        moments: of their features.
        sqrt_cov: ``matrix_sqrt(moments.cov)`` [F F] float64.
        path: their file, named after all that the numbers depend on.
    """

    moments: Moments
    sqrt_cov: Tensor
    path: Path


@dataclass(frozen=True, eq=False)
class Features:
    """A feature network, what it is given, and the cache of what it has seen of real images.

    What the processes of a run ask for, they must ask for together: each extracts its share of the
    features, and all hold the same results, which do not depend on the number of processes.

    Attributes:
        extractor: the feature network, on its device.
        protocol: what is done to images first.
        cache_dir: folder of the cache; created if need be.
        batch_size: images that are drawn at once; on a CPU `extractor` sees at most 16 of them.
        report: called after each call of `extractor`, and before the first.

    Raises:
        ValueError: if `batch_size` is below 1 or the network prepares images otherwise than the
            protocol.
    """

    extractor: Extractor
    protocol: Protocol
    cache_dir: Path
    batch_size: int = 64
    report: Report = lambda what, done, total: None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if getattr(self.extractor, "prepare", self.protocol.prepare) != self.protocol.prepare:
            raise ValueError(
                "the network prepares images otherwise than the protocol "
                f"{self.protocol.name!r}: build it with load_inception(weights, protocol)"
            )

    @classmethod
    def load(
        cls,
        protocol: str,
        weights_path: str | Path | None,
        cache_dir: str | Path | None,
        device: torch.device | str,
        batch_size: int,
        report: Report = lambda what, done, total: None,
    ) -> "Features":
        """Load the Inception network for the protocol of a name.

        Args:
            protocol: a key of `fpainter.evaluation.protocols.PROTOCOLS`.
            weights_path: Inception weights; None looks for the installed ones.
            cache_dir: folder of the cache; None for the user's.
            device: of the network.
            batch_size: images at once.
            report: told how far things are.

        Raises:
            UserError: if there are no weights.
            ValueError: if there is no such protocol or `batch_size` is below 1.
        """
        chosen = get_protocol(protocol)
        network = load_inception(weights_path, chosen).to(device)
        cache = Path(cache_dir).expanduser() if cache_dir else default_cache_dir()
        return cls(network, chosen, cache, batch_size, report)

    def extract(self, draw: Draw, num: int, what: str) -> Iterator[tuple[range, Tensor]]:
        """Yield features [B F] of this process's images (r, r + world_size, …), and their indices.

        Args:
            draw: maps indices to images uint8 [B C H W].
            num: images of all processes.
            what: is being done, for the report.
        """
        mine = range(rank(), num, world_size())
        # A processor is slow: smaller calls have the same features and more often news.
        size = 16 if self.extractor.device.type == "cpu" else self.batch_size
        self.report(what, 0, num)
        for start in range(0, len(mine), self.batch_size):
            indices = mine[start : start + self.batch_size]
            images = self.protocol.apply(draw(indices)).to(self.extractor.device)
            for first in range(0, len(indices), size):
                yield indices[first : first + size], self.extractor(images[first : first + size])
                done = (start + min(first + size, len(indices))) * world_size()
                self.report(what, min(done, num), num)

    def gather(self, draw: Draw, num: int, what: str) -> Tensor:
        """Return the features of all images in every process, [num F] float32 on the CPU.

        Args:
            draw: maps indices to images uint8 [B C H W].
            num: images of all processes.
            what: is being done, for the report.
        """
        # Each process fills its own rows; where there is one, the device need not hold them.
        device = self.extractor.device if world_size() > 1 else "cpu"
        found = torch.zeros(num, self.extractor.num_features, device=device)
        for indices, features in self.extract(draw, num, what):
            found[list(indices)] = features.float().to(device)
        return summed(found).cpu()

    def statistics(self, images: Images) -> RealStatistics:
        """Read the statistics of real images from their file, or compute and keep them.

        Their single features, or those of the set that they are a part of, are kept on the way
        unless there are more than `MOST_KEPT`. The statistics are on the CPU.

        Args:
            images: the real images.

        Raises:
            UserError: if there are fewer than 2 images.
        """
        num, size = len(images), self.extractor.num_features
        if num < 2:
            raise UserError(f"statistics of the reals need at least 2 images, got {num}")

        def compute() -> dict[str, Tensor]:
            running = RunningMoments(size, self.extractor.device)
            for features in self._batches(images, what):
                running.add(features)
            running.sum_over_processes()
            return _tensors(running.moments()) if rank() == 0 else {}

        what = "statistics of the reals"
        path = self.path(images, num)
        shapes = {"mean": (size,), "cov": (size, size), "sqrt_cov": (size, size)}
        found = from_first(cached(path, shapes, compute, partial(self.report, what, 0, num), what))
        return RealStatistics(Moments(num, found["mean"], found["cov"]), found["sqrt_cov"], path)

    def _batches(self, images: Images, what: str) -> Iterator[Tensor]:
        """Yield batches [B F] that are, over all processes, the features of all images."""
        whole = getattr(images, "whole", images)
        if len(whole) > MOST_KEPT:
            yield from (features for _, features in self.extract(images.batch, len(images), what))
            return
        features = self._kept(whole, len(whole))
        if rank() == 0:
            places = torch.as_tensor(getattr(images, "places", range(len(whole))))
            for part in places.split(self.batch_size):
                yield features[part].to(self.extractor.device)

    def store(self, moments: Moments, images: Images) -> None:
        """Put moments that were computed elsewhere where `statistics` looks for them.

        Args:
            moments: of the features of all images, as float64.
            images: the real images.

        Raises:
            ValueError: if the moments are of other features or of another number of images.
        """
        if moments.num != len(images) or len(moments.mean) != self.extractor.num_features:
            raise ValueError(
                f"moments of {moments.num} images and {len(moments.mean)} features do not fit "
                f"{len(images)} images and {self.extractor.num_features} features"
            )
        write(self.path(images, len(images)), _tensors(moments))

    def sample(self, images: Images, num: int) -> Tensor:
        """Read single features of real images from their file, or compute and keep them.

        Args:
            images: the real images, of which `num` are taken, spread evenly over the set, because
                file names often sort images by class or by origin.
            num: how many; all if there are fewer.

        Returns:
            [num F] float32 on the CPU.
        """
        num = min(num, len(images))
        if from_first(self.path(images, len(images), "sample").is_file()):
            features = self._kept(images, len(images))
            places = _spread(range(num if rank() == 0 else 0), num, len(images))
            return from_first(features[places])
        return from_first(self._kept(images, num))

    def _kept(self, images: Images, num: int) -> Tensor:
        """Read features [num F] of images spread evenly over a set, or compute and keep them.

        They are in the first process alone, and mapped from the file where they were there.
        """
        made: list[Tensor] = []

        def draw(places: Sequence[int]) -> Tensor:
            return images.batch(_spread(places, num, len(images)))

        def compute() -> dict[str, Tensor]:
            made.append(self.gather(draw, num, what))
            return {"features": made[0]}

        what = "features of the reals"
        path = self.path(images, num, "sample")
        shapes = {"features": (num, self.extractor.num_features)}
        found = cached(path, shapes, compute, partial(self.report, what, 0, num), what)
        if found and not made:
            log.info("features of %s reals are read from %s", f"{num:,}", path)
        return found.get("features", torch.empty(0, self.extractor.num_features))

    def path(self, images: Images, num: int, *what: str) -> Path:
        """Return the file of what is computed of `num` images; without `what`, of their moments."""
        kind = self.extractor.device.type
        # Files of CPUs had their names before those of other devices were told from them.
        what += () if kind == "cpu" else (f"{kind} float32",)
        weights = self.extractor.weights_sha256
        parts = [images.fingerprint, self.protocol.name, weights, num, _VERSION, *what]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        return self.cache_dir / "statistics" / f"{key}.safetensors"


def _spread(places: Sequence[int], num: int, total: int) -> list[int]:
    """Return the indices of some of `num` images that are spread evenly over a set."""
    return [place * total // num for place in places]


def _tensors(moments: Moments) -> dict[str, Tensor]:
    return {"mean": moments.mean, "cov": moments.cov, "sqrt_cov": matrix_sqrt(moments.cov)}
