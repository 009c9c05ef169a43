"""Pictures on the way: a grid of fixed latents, how some are painted, what lies between them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from fpainter.generators.base import PaintingGenerator
from fpainter.generators.latents import latents
from fpainter.nn.sizes import is_whole
from fpainter.pictures.grids import grid, sample_grid
from fpainter.pictures.selection import Selection
from fpainter.pictures.strips import painting_strips
from fpainter.pictures.walk import check_walk, walk_images
from fpainter.training.gan_module import GANModule


def log_picture(trainer: Trainer, name: str, picture: Image.Image, iteration: int) -> None:
    """Give a picture to the loggers that take pictures."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(key=name, images=[picture], step=iteration)
        elif isinstance(logger, TensorBoardLogger):
            array = np.asarray(picture.convert("RGB"))
            logger.experiment.add_image(name, array, iteration, dataformats="HWC")


class PictureCallback(Callback):
    """Draw a picture with the averaged generator every so often and at the end.

    Args:
        directory: PNGs are saved here as ``<iteration>.png``.
        draw: module -> picture, or None when the module has nothing to draw.
        every: iterations between pictures; 0 leaves only the one at the end.

    Raises:
        ValueError: if `every` is negative or no number.
    """

    def __init__(
        self,
        directory: str | Path,
        draw: Callable[[GANModule], Image.Image | None],
        every: int,
    ) -> None:
        self.directory = Path(directory)
        if not is_whole(every, least=0):
            name = self.directory.name
            raise ValueError(f"{name}.every must be a whole number, at least 0; got {every}")
        self.draw = draw
        self.every = every
        self._drawn_at = -1

    @classmethod
    def samples(
        cls, directory: str | Path, every: int, num_images: int = 64, seed: int = 0, scale: int = 1
    ) -> "PictureCallback":
        """Draw a grid of the same `num_images` latents each time.

        With a refiner, a second grid at the left shows the images before it.
        """

        def draw(module: GANModule) -> Image.Image:
            sampler = module.sampler()
            z = latents(seed, range(num_images), sampler.d_latent)
            return sample_grid(sampler, z, scale)

        return cls(directory, draw, every)

    @classmethod
    def strips(
        cls,
        directory: str | Path,
        every: int,
        num_images: int = 4,
        seed: int = 0,
        num_columns: int = 16,
        normalisation: str = "final",
        scale: int = 1,
    ) -> "PictureCallback":
        """Draw painting strips; with the grid's seed, of its first `num_images` latents."""

        def draw(module: GANModule) -> Image.Image | None:
            sampler = module.sampler()
            if not isinstance(sampler.generator, PaintingGenerator):
                return None
            z = latents(seed, range(num_images), sampler.d_latent)
            return painting_strips(
                sampler.generator, sampler.image_range, z, num_columns, normalisation, scale
            )

        return cls(directory, draw, every)

    @classmethod
    def walk(
        cls,
        directory: str | Path,
        every: int,
        num_images: int = 6,
        frames_between: int = 7,
        path: str = "spherical",
        seed: int = 0,
        scale: int = 1,
    ) -> "PictureCallback":
        """Draw a walk through latents as a sheet, each row from an image to the next.

        With the grid's seed, the first column is its first `num_images` images. The last row goes
        back to the first image.

        Raises:
            ValueError: if there is no such walk.
        """
        check_walk(frames_between, path)
        if not is_whole(num_images, least=2):
            raise ValueError(f"a walk needs num_images of at least 2; got {num_images}")

        def draw(module: GANModule) -> Image.Image:
            selection = Selection(module.sampler(), seed, tuple(range(num_images)))
            images = walk_images(selection, frames_between, path)
            return grid(images, frames_between + 1, scale=scale)

        return cls(directory, draw, every)

    def on_train_batch_end(self, trainer: Trainer, pl_module: GANModule, *args: Any) -> None:
        """Draw when it is time to."""
        if self.every and pl_module.iteration % self.every == 0:
            self._save(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Draw the last state, unless it has just been drawn."""
        if self._drawn_at != pl_module.iteration:
            self._save(trainer, pl_module)

    @rank_zero_only
    def _save(self, trainer: Trainer, module: GANModule) -> None:
        picture = self.draw(module)
        self._drawn_at = module.iteration
        if picture is None:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        picture.save(self.directory / f"{module.iteration:07d}.png")
        log_picture(trainer, self.directory.name, picture, module.iteration)
