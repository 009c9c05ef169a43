"""How fast images are drawn, loaded and seen by the Inception network."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fpainter.benchmarks.stopwatch import medians
from fpainter.data.loader import BatchStream
from fpainter.evaluation.inception.network import InceptionFeatures
from fpainter.evaluation.protocols import Protocol
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.sampler import Sampler, evaluating

BATCH_SIZES = (1, 16, 64, 256)


def sampling(sampler: Sampler, repeats: int, device: torch.device) -> dict[str, float]:
    """Draw finished images, bytes, in batches of several sizes.

    Returns:
        seconds per batch and, for painters, the share of it that the sequence processor takes:
        what cannot be saved without another model; `lstm_share` is the smallest of all batches.
    """
    results: dict[str, float] = {}
    shares: list[float] = []
    for size in BATCH_SIZES:
        z = torch.randn(size, sampler.d_latent, device=device)
        runs: dict[str, Callable[[], Any]] = {"seconds": partial(sampler, z)}
        if isinstance(sampler.generator, FastWeightPainter):
            with evaluating(sampler.generator):
                x = sampler.generator.input_generator(z)
            runs["lstm_seconds"] = partial(_process, sampler.generator, x, z)
        seconds = medians(runs, 3 * repeats, device)
        results |= {f"batch_{size}.{name}": value for name, value in seconds.items()}
        if "lstm_seconds" in seconds:
            shares.append(seconds["lstm_seconds"] / seconds["seconds"])
            results[f"batch_{size}.lstm_share"] = shares[-1]
    if shares:
        results["lstm_share"] = min(shares)
    return results


def _process(painter: FastWeightPainter, x: Tensor, z: Tensor) -> None:
    with evaluating(painter):
        painter.sequence_processor(x, z)


def loading(stream: BatchStream, repeats: int, seconds: float | None) -> dict[str, float]:
    """Take batches out of the cache.

    Args:
        stream: what training reads.
        repeats: of a hundred batches.
        seconds: of a training iteration, if known.

    Returns:
        images per second and, if `seconds` is known, the share of an iteration that loading takes.
    """

    def hundred() -> None:
        for _ in range(100):
            next(stream)

    per_batch = medians({"": hundred}, repeats, torch.device("cpu"))[""] / 100
    results = {"images_per_second": stream.share.batch_size / per_batch}
    if seconds is not None:
        results["share"] = per_batch / seconds
    return results


def inception(
    network: InceptionFeatures, protocol: Protocol, images: Tensor, repeats: int
) -> dict[str, float]:
    """Extract the features of images, uint8 [B C H W], on the network's device."""
    device = images.device
    with torch.inference_mode():
        seconds = medians({"": lambda: network(protocol.apply(images))}, repeats, device)[""]
    return {"images_per_second": len(images) / seconds}
