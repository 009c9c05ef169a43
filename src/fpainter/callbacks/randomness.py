"""The noise of every iteration as a function of the run's seed."""

import hashlib
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback

from fpainter.training.gan_module import GANModule


class Randomness(Callback):
    """Seed torch's generators anew for each iteration, from (seed, iteration, process).

    So a resumed run draws what it would have drawn, processes draw different noise, and what is
    drawn in between (pictures, scores) changes nothing; there is no state to keep.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: GANModule, *args: Any) -> None:
        """Seed this process's generators."""
        key = f"noise {self.seed} {pl_module.iteration} {trainer.global_rank}"
        # torch's CPU generator reads 32 bits of its seed: a hash keeps neighbouring keys apart.
        torch.manual_seed(int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big"))
