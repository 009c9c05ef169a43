"""The noise of every iteration as a function of the run's seed."""

from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback

from fpainter.nn.seeds import stream_seed
from fpainter.training.gan_module import GANModule


class Randomness(Callback):
    """Seed torch's generators anew for each iteration, from (seed, iteration).

    So a resumed run draws what it would have drawn, and what is drawn in between (pictures,
    scores) changes nothing; there is no state to keep. Processes are seeded alike: each draws for
    the batch of all of them and takes its own rows (`fpainter.nn.noise`).

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: GANModule, *args: Any) -> None:
        """Seed the generators."""
        torch.manual_seed(stream_seed(self.seed, pl_module.iteration, "noise"))
