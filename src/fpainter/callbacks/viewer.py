"""A page to open when training has ended."""

import logging
from pathlib import Path

from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only

from fpainter.nn.sizes import is_whole
from fpainter.pictures.selection import Selection
from fpainter.training.gan_module import GANModule
from fpainter.viewer.page import work, write_page

log = logging.getLogger(__name__)


class ViewerPage(Callback):
    """Write ``viewer.html`` when training ends: the averaged generator's images, stroke by stroke.

    Args:
        directory: the run directory.
        enabled: false does nothing.
        num_images: images on the page; with the grid's seed, its first.
        seed: of their latents.

    Raises:
        ValueError: if `num_images` is not positive.
    """

    def __init__(
        self, directory: str | Path, enabled: bool, num_images: int = 24, seed: int = 0
    ) -> None:
        if not is_whole(num_images):
            raise ValueError(f"viewer.num_images must be at least 1; got {num_images}")
        self.directory = Path(directory)
        self.enabled = enabled
        self.num_images = num_images
        self.seed = seed

    @rank_zero_only
    def on_train_end(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Write the page, or say why there is none; what was trained is not lost for it."""
        if not self.enabled:
            return
        page, sampler = self.directory / "viewer.html", pl_module.sampler()
        try:
            chosen = Selection(sampler, self.seed, tuple(range(self.num_images)))
            about = self.directory.name, pl_module.iteration, "ema"
            write_page([work(sampler, chosen.latents(), *about, chosen.labels())], page)
        except (ValueError, OSError) as error:
            log.warning("no viewer.html: %s", error)
            return
        log.info("open %s in a browser to watch it paint", page)
