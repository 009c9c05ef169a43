"""The state of every random generator, so that a resumed run draws what it would have drawn."""

from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback

from fpainter.training.gan_module import GANModule


class Randomness(Callback):
    """Seed each process's noise, and keep its generators' states in the checkpoint.

    Args:
        seed: of the run; each process adds its rank.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._restored: dict[str, Any] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Start the noise, or go on with it where a checkpoint left off."""
        if self._restored is None:
            torch.manual_seed(self.seed + trainer.global_rank)
            return
        torch.set_rng_state(self._restored["cpu"])
        if torch.cuda.is_available() and len(self._restored["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(self._restored["cuda"])
        self._restored = None

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the CPU's and all GPUs' generators."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return {"cpu": torch.get_rng_state(), "cuda": cuda}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training starts."""
        self._restored = state_dict
