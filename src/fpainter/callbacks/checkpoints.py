"""The checkpoints every run keeps: the last state, the one before it, and the best by FID."""

import logging
import math
import os
from pathlib import Path
from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import Checkpoint

from fpainter.training.gan_module import GANModule

log = logging.getLogger(__name__)


class RunCheckpoints(Checkpoint):
    """Save ``last.ckpt`` regularly, at the end and on an exception; ``best.ckpt`` when FID falls.

    The last state before stays as ``previous.ckpt``, should a disk damage the newest.

    Lightning's ModelCheckpoint counts optimiser steps, warns at each save of a manually optimised
    module and cannot keep two plain names; this says exactly what a run directory holds.

    Args:
        directory: the run's ``checkpoints`` folder.
        every: iterations between saves of ``last.ckpt``.
        monitor: the metric whose minimum is ``best.ckpt``.
        protocol: what the metric's values depend on besides the painter.

    Raises:
        ValueError: if `every` is not positive.
    """

    def __init__(
        self, directory: str | Path, every: int, monitor: str = "fid", protocol: str | None = None
    ) -> None:
        if every < 1:
            raise ValueError(f"checkpoint_every must be at least 1; got {every}")
        self.last = Path(directory) / "last.ckpt"
        self.previous = Path(directory) / "previous.ckpt"
        self.best = Path(directory) / "best.ckpt"
        self.every = every
        self.monitor = monitor
        self.protocol = protocol
        self.best_score = math.inf
        self._saved_at = -1

    def on_train_batch_end(self, trainer: Trainer, pl_module: GANModule, *args: Any) -> None:
        """Save the last state when it is time to, and the best when there is a new one."""
        self._save_best(trainer)
        if pl_module.iteration % self.every == 0:
            self._save_last(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Save the final state."""
        self._save_best(trainer)
        if self._saved_at != pl_module.iteration:
            self._save_last(trainer, pl_module)

    def on_exception(
        self, trainer: Trainer, pl_module: GANModule, exception: BaseException
    ) -> None:
        """Save what there is when training is told to stop, which happens between two iterations.

        After an error nothing is saved: the checkpoint before it is the one to trust.
        """
        if isinstance(exception, SystemExit) and pl_module.iteration not in (0, self._saved_at):
            self._save_last(trainer, pl_module)

    def _save_best(self, trainer: Trainer) -> None:
        score = trainer.callback_metrics.get(self.monitor)
        if score is not None and float(score) < self.best_score:
            self.best_score = float(score)
            self._save(trainer, self.best)

    def _save_last(self, trainer: Trainer, module: GANModule) -> None:
        self._save(trainer, self.last, self.previous)
        self._saved_at = module.iteration

    def _save(self, trainer: Trainer, path: Path, previous: Path | None = None) -> None:
        """Write beside the old file and swap, so that there is a whole one at any moment."""
        temporary = path.with_suffix(".tmp")
        trainer.save_checkpoint(temporary, weights_only=False)
        if trainer.is_global_zero:
            if previous is not None and path.exists():
                os.replace(path, previous)
            os.replace(temporary, path)
        trainer.strategy.barrier()

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far, and what kind of score it is."""
        return {"best_score": self.best_score, "protocol": self.protocol}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best score so far.

        Without its file, or when scores are of another protocol now, the next score is the best.
        """
        before = state_dict.get("protocol", self.protocol)
        if before != self.protocol:
            log.warning(
                "best.ckpt was the best by the protocol %s; it will be replaced by the first that "
                "is scored by %s, since scores of two protocols cannot be compared",
                before,
                self.protocol,
            )
        elif self.best.is_file():
            self.best_score = state_dict["best_score"]
