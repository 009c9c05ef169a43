"""FID of a painter against a set of images, from the names and numbers of a config."""

from collections.abc import Callable
from pathlib import Path

import torch

from fpainter.data.cache import default_cache_dir
from fpainter.evaluation.fid import PaintedFID, score_fid
from fpainter.evaluation.inception import load_inception
from fpainter.evaluation.protocols import get_protocol
from fpainter.evaluation.statistics import Images, real_statistics
from fpainter.generators.sampler import Sampler

Progress = Callable[[str, int, int], None]


class FIDScorer:
    """Loads the feature network and the real statistics once, then scores any number of painters.

    Args:
        images: the real images.
        cache_dir: where their statistics are kept; None for the user's cache.
        protocol: name of the protocol that reals and fakes go through.
        num_images: fakes per score.
        weights_path: Inception weights; None looks for the installed ones.
        seed: of the fakes' latents.
        batch_size: images per forward pass.
        device: of the feature network and of the painters.
        rank: of this process.
        world_size: number of processes; each scores its share.
        progress: called with (what is being done, images done, images in total).

    Raises:
        UserError: if there are no Inception weights.
        ValueError: if an option is out of range.
    """

    def __init__(
        self,
        images: Images,
        cache_dir: str | Path | None = None,
        protocol: str = "png",
        num_images: int = 10_000,
        weights_path: str | Path | None = None,
        seed: int = 0,
        batch_size: int = 64,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world_size: int = 1,
        progress: Progress | None = None,
    ) -> None:
        if num_images < max(2, world_size) or batch_size < 1:
            raise ValueError(
                f"num_images must be at least {max(2, world_size)} and batch_size at least 1; "
                f"got {num_images} and {batch_size}"
            )
        self.protocol = get_protocol(protocol)
        self.num_images = num_images
        self.seed = seed
        self.batch_size = batch_size
        self.device = device
        self.rank = rank
        self.world_size = world_size
        self.progress = progress or (lambda what, done, total: None)
        extractor = load_inception(weights_path).to(device)
        self.statistics = real_statistics(
            images,
            extractor,
            self.protocol,
            Path(cache_dir).expanduser() if cache_dir else default_cache_dir(),
            batch_size,
            device=device,
            progress=lambda done, total: self.progress("statistics of the reals", done, total),
        )
        self.metric = PaintedFID(extractor).to(device)
        self.metric.preload(self.statistics, rank)

    def __call__(self, sampler: Sampler) -> float:
        """Return the FID of a sampler; every process must call this."""
        return score_fid(
            sampler,
            sampler.d_latent,
            self.num_images,
            self.seed,
            self.metric,
            self.protocol,
            self.batch_size,
            self.device,
            self.rank,
            self.world_size,
            lambda done, total: self.progress("FID", done, total),
        )
