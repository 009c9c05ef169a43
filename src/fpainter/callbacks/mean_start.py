"""Beginning with the mean picture."""

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from fpainter.generators.canvas import MeanCanvas
from fpainter.generators.painter import FastWeightPainter
from fpainter.training.gan_module import GANModule

AT_ONCE = 256  # images


class MeanStart(Callback):
    """Set a `MeanCanvas` to the mean of the training images; other canvases stay as they are.

    A warm start and a checkpoint come later, and bring a canvas of their own.

    Args:
        num_images: of the set, spread evenly over it, that the mean is taken of; positive.

    Raises:
        ValueError: if it is not.
    """

    def __init__(self, num_images: int = 2_048) -> None:
        if num_images < 1:
            raise ValueError(f"num_images must be at least 1; got {num_images}")
        self.num_images = num_images

    def setup(self, trainer: Trainer, pl_module: GANModule, stage: str) -> None:
        """Set the canvases of the generator and of its average."""
        painter = pl_module.generator
        if not isinstance(painter, FastWeightPainter) or not isinstance(painter.canvas, MeanCanvas):
            return
        picture = self._mean(trainer, pl_module)
        for each in (painter, pl_module.generator_ema):
            assert isinstance(each, FastWeightPainter)
            assert isinstance(each.canvas, MeanCanvas)
            with torch.no_grad():
                each.canvas.canvas.copy_(each.canvas_of(picture))

    def _mean(self, trainer: Trainer, module: GANModule) -> Tensor:
        """Return the mean picture [C H W] in the image range, float64."""
        images = trainer.datamodule.images  # type: ignore[attr-defined]
        num = min(self.num_images, len(images))
        chosen = [place * len(images) // num for place in range(num)]
        total: Tensor = sum(
            module.image_range.from_bytes(images.batch(chosen[start : start + AT_ONCE]))
            .double()
            .sum(dim=0)
            for start in range(0, num, AT_ONCE)
        )  # type: ignore[assignment]
        return total / num
