"""Pictures on the way: a grid of fixed latents, how some are painted, what lies between them."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from fpainter.generators.base import PaintingGenerator
from fpainter.generators.painting import shown_steps
from fpainter.nn.sizes import is_whole
from fpainter.pictures.grids import grid, sheet
from fpainter.pictures.selection import Selection
from fpainter.pictures.strips import check_normalisation, draw_strips
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


class PictureCallback(Callback, ABC):
    """Draw the same images with the averaged generator every so often and at the end.

    Args:
        directory: PNGs are saved here as ``<iteration>.png``.
        every: iterations between pictures; 0 leaves only the one at the end.
        num_images: images drawn; pictures of one seed begin with the same images.
        seed: of their latents.
        scale: enlargement by whole pixels.

    Raises:
        ValueError: if `every` is no whole number from 0 on, or another number none from 1 on.
    """

    def __init__(
        self, directory: str | Path, every: int, num_images: int, seed: int = 0, scale: int = 1
    ) -> None:
        self.directory = Path(directory)
        self._check("every", every, least=0)
        self._check("num_images", num_images)
        self._check("scale", scale)
        self.every = every
        self.num_images = num_images
        self.seed = seed
        self.scale = scale
        self._drawn_at = -1

    def _check(self, name: str, number: Any, least: int = 1) -> None:
        if not is_whole(number, least):
            raise ValueError(
                f"{self.directory.name}.{name} must be a whole number, at least {least}; "
                f"got {number}"
            )

    @abstractmethod
    def draw(self, selection: Selection) -> Image.Image | None:
        """Return a picture of the images; None where there is nothing to draw."""

    def picture(self, module: GANModule) -> Image.Image | None:
        """Return what `draw` makes of the averaged generator."""
        return self.draw(Selection(module.sampler(), self.seed, tuple(range(self.num_images))))

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
        picture = self.picture(module)
        self._drawn_at = module.iteration
        if picture is None:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        picture.save(self.directory / f"{module.iteration:07d}.png")
        log_picture(trainer, self.directory.name, picture, module.iteration)


class SampleGrid(PictureCallback):
    """A grid of images; where they are refined, one of those before at its left.

    Where they have labels, each class has a row, with its name in the margin.
    """

    def draw(self, selection: Selection) -> Image.Image:
        """Return the grid."""
        names = selection.sampler.generator.label_names()
        images = list(selection.images().values())
        return sheet(images, scale=self.scale, labels=selection.labels(), names=names)


class Strips(PictureCallback):
    """Painting strips, where the generator paints in steps.

    Args:
        num_columns: steps shown, evenly spread.
        normalisation: as for `draw_strips`.
        common: as for `PictureCallback`.

    Raises:
        ValueError: if there are no columns, or no such normalisation.
    """

    def __init__(self, num_columns: int = 16, normalisation: str = "final", **common: Any) -> None:
        super().__init__(**common)
        self._check("num_columns", num_columns)
        check_normalisation(normalisation)
        self.num_columns = num_columns
        self.normalisation = normalisation

    def draw(self, selection: Selection) -> Image.Image | None:
        """Return the strips."""
        if not isinstance(selection.sampler.generator, PaintingGenerator):
            return None
        work = selection.painted()
        steps = shown_steps(work.painting.num_steps, self.num_columns)
        return draw_strips(work, steps, self.normalisation, self.scale)


class Walk(PictureCallback):
    """A walk through latents as a sheet, each row from an image to the next, the last to the first.

    Args:
        frames_between: images between two of them.
        path: as for `walk_images`.
        common: as for `PictureCallback`.

    Raises:
        ValueError: if there is no such walk.
    """

    def __init__(self, frames_between: int = 7, path: str = "spherical", **common: Any) -> None:
        super().__init__(**common)
        check_walk(frames_between, path)
        if not is_whole(self.num_images, least=2):
            raise ValueError(f"a walk needs num_images of at least 2; got {self.num_images}")
        self.frames_between = frames_between
        self.path = path

    def draw(self, selection: Selection) -> Image.Image:
        """Return the sheet."""
        images = walk_images(selection, self.frames_between, self.path)
        return grid(images, self.frames_between + 1, scale=self.scale)
