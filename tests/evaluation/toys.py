"""A feature network and a set of images small enough for tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpainter.evaluation.features import Features
from fpainter.evaluation.metrics.frechet import Moments, RunningMoments
from fpainter.evaluation.protocols import get_protocol


class TinyExtractor(nn.Module):
    """Averages of 8×8 parts, through a fixed random layer; counts its calls.

    It maps `[B C H W]` uint8 of 1 or 3 channels to `[B num_features]`.
    """

    def __init__(self, num_features: int = 8, weights_sha256: str = "tiny") -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.num_features = num_features
        self.weights_sha256 = weights_sha256
        self.calls = 0
        self.weight: Tensor
        self.register_buffer("weight", torch.randn(num_features, 192, generator=generator) / 14)

    @property
    def device(self) -> torch.device:
        return self.weight.device

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        parts = F.adaptive_avg_pool2d(images.float().expand(-1, 3, -1, -1), 8)
        return torch.tanh(parts.flatten(1) / 255 @ self.weight.T)

    def logits(self, features: Tensor) -> Tensor:
        return features


class ToyImages:
    """Random images with the interface of the image cache."""

    def __init__(self, num: int = 40, seed: int = 0) -> None:
        self.fingerprint = f"toy {num} {seed}"
        self.tensor = random_images(num, seed)

    def __len__(self) -> int:
        return len(self.tensor)

    def batch(self, indices: Sequence[int]) -> Tensor:
        return self.tensor[list(indices)]


def toy_features(
    cache_dir: Path, extractor: TinyExtractor | None = None, protocol: str = "png", **options: Any
) -> Features:
    return Features(extractor or TinyExtractor(), get_protocol(protocol), cache_dir, **options)


def random_images(num: int, seed: int, channels: int = 3, size: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(num, channels, size // 4, size // 4, generator=generator)
    smooth = nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")
    return (smooth * 255).round().to(torch.uint8)


def moments(features: Tensor) -> Moments:
    running = RunningMoments(features.shape[1])
    for part in features.split(7):
        running.add(part)
    return running.moments()
