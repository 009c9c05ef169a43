"""Learning curves at the end of a run."""

from pathlib import Path

from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only

from fpainter.pictures.curves import draw_curves
from fpainter.training.gan_module import GANModule


class LearningCurves(Callback):
    """Draw ``curves.png`` from ``metrics.csv`` when training ends.

    Args:
        directory: the run directory.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    @rank_zero_only
    def on_train_end(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Draw."""
        metrics = self.directory / "metrics.csv"
        if metrics.is_file():
            draw_curves(metrics, self.directory / "curves.png")
