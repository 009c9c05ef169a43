"""The checkpoints every run keeps: the last state, the one before it, and the best by FID."""

import logging
import math
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import SIGTERMException

from fpainter.errors import UserError
from fpainter.training.gan_module import GANModule

log = logging.getLogger(__name__)


class CheckpointFile(TorchCheckpointIO):
    """Writes a checkpoint straight into its file, and waits until the disk has it.

    Lightning's own way makes two copies of it in memory and one in the folder for temporary files,
    and after a power cut the file can be there without its content.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            OSError: if the disk refuses; an unfinished file may be left.
        """
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(path, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except RuntimeError as error:  # torch's, about the archive that it could not close
            if isinstance(error.__context__, OSError | KeyboardInterrupt):
                raise error.__context__ from None
            raise


class RunCheckpoints(Checkpoint):
    """Save ``last.ckpt`` regularly, at the end and on a signal; ``best.ckpt`` when FID falls.

    The last state before stays as ``previous.ckpt``, should a disk damage the newest. A run that
    was killed between its last iteration and its final scores and pictures gets them when it is
    started again.

    Lightning's ModelCheckpoint counts optimiser steps, warns at each save of a manually optimised
    module and cannot keep two plain names; this says exactly what a run directory holds.

    Args:
        directory: the run's ``checkpoints`` folder.
        every: iterations between saves of ``last.ckpt``.
        monitor: the metric whose minimum is ``best.ckpt``.
        protocol: how it is measured; values of two protocols cannot be compared.
        num_images: of how many fakes; nor can those of two numbers.
        keep_every: iterations between states that stay, as ``<iteration>.ckpt``; None for none.

    Raises:
        ValueError: if `every` or `keep_every` is not positive.
    """

    def __init__(
        self,
        directory: str | Path,
        every: int,
        monitor: str = "fid",
        protocol: str | None = None,
        num_images: int | None = None,
        keep_every: int | None = None,
    ) -> None:
        if every < 1:
            raise ValueError(f"checkpoint_every must be at least 1; got {every}")
        if keep_every is not None and keep_every < 1:
            raise ValueError(f"checkpoints.keep_every must be at least 1; got {keep_every}")
        self.last = Path(directory) / "last.ckpt"
        self.previous = Path(directory) / "previous.ckpt"
        self.best = Path(directory) / "best.ckpt"
        self.every = every
        self.keep_every = keep_every
        self.monitor = monitor
        self.protocol = protocol
        self.num_images = num_images
        self.best_score = math.inf
        self._saved_at = -1
        self._has_ended = True  # nothing has begun yet
        self._told_to_stop = False

    def setup(self, trainer: Trainer, pl_module: GANModule, stage: str) -> None:
        """Remove what a start left that was killed while saving."""
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # nobody asked for another
            trainer.strategy.checkpoint_io = CheckpointFile()
        if trainer.is_global_zero:
            for path in self.last.parent.glob("*.tmp"):
                path.unlink(missing_ok=True)

    def on_train_start(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Let a SIGTERM take effect between two iterations, in all processes between the same two.

        Lightning's handler talks to the other processes wherever the signal finds this one, so that
        each may wait for ever for what another does not say.
        """
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._stop)
        self._save_best(trainer)  # a score that a stopped run owed has just been made up

    def _stop(self, number: int, frame: Any) -> None:
        self._told_to_stop = True

    def on_train_batch_end(self, trainer: Trainer, pl_module: GANModule, *args: Any) -> None:
        """Save the last state when it is time to, and the best when there is a new one.

        Raises:
            SIGTERMException: if this process or another was told to stop; its code is a shell's.
        """
        self._has_ended = False
        self._save_best(trainer)
        done = pl_module.iteration
        if self.keep_every and done % self.keep_every == 0:
            self._save(trainer, self.last.with_name(f"{done:07d}.ckpt"))
        # The last one, too: final scores and pictures can take long.
        if done % self.every == 0 or done == trainer.max_steps:
            self._save_last(trainer, pl_module)
        if trainer.strategy.reduce_boolean_decision(self._told_to_stop, all=False):
            if self._saved_at != done:
                self._save_last(trainer, pl_module)
            log.info("stopped after iteration %d; ckpt=%s goes on from there", done, self.last)
            # A process that the first has started must not look as if it had failed.
            raise SIGTERMException(128 + signal.SIGTERM if trainer.is_global_zero else 0)

    def on_train_end(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Save the final state, now with its scores and pictures."""
        self._save_best(trainer)
        if self._saved_at != pl_module.iteration or not self._has_ended:
            self._has_ended = True
            self._save_last(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Let a run end that an earlier start trained to its last iteration, and no further."""
        if self._has_ended:
            return
        pl_module.to(trainer.strategy.root_device)  # Lightning has put it away by now
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        for callback in callbacks:
            if callback is not self:
                callback.on_train_start(trainer, pl_module)
        for callback in callbacks:
            callback.on_train_end(trainer, pl_module)

    def on_exception(
        self, trainer: Trainer, pl_module: GANModule, exception: BaseException
    ) -> None:
        """Save what there is when training is told to stop, which happens between two iterations.

        After an error nothing is saved: the checkpoint before it is the one to trust. Nor is it
        when something else ends the program, which may be in the middle of an iteration.
        """
        told = isinstance(exception, SIGTERMException)
        if told and pl_module.iteration not in (0, self._saved_at):
            self._save_last(trainer, pl_module)

    def _save_best(self, trainer: Trainer) -> None:
        score = trainer.callback_metrics.get(self.monitor)
        if score is not None and float(score) < self.best_score:
            self.best_score = float(score)
            self._save(trainer, self.best)

    def _save_last(self, trainer: Trainer, module: GANModule) -> None:
        # At the end the same iteration is saved twice; the one before it stays.
        previous = None if self._saved_at == module.iteration else self.previous
        self._save(trainer, self.last, previous)
        self._saved_at = module.iteration

    def _save(self, trainer: Trainer, path: Path, previous: Path | None = None) -> None:
        """Write beside the old file and swap, so that there is a whole one at any moment."""
        temporary = path.with_suffix(".tmp")
        try:
            trainer.save_checkpoint(temporary, weights_only=False)
            if trainer.is_global_zero:
                if previous is not None and path.exists():
                    _keep(path, previous)
                os.replace(temporary, path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise UserError(
                f"cannot save {path}: {error.strerror or error}{self._what_is_left()}"
            ) from error
        trainer.strategy.barrier()

    def _what_is_left(self) -> str:
        kept = next((path for path in (self.last, self.previous) if path.is_file()), None)
        return f"; the state saved before is whole, go on from it with ckpt={kept}" if kept else ""

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far, what kind of score it is, and whether the run has ended."""
        return {
            "best_score": self.best_score,
            "protocol": self.protocol,
            "num_images": self.num_images,
            "has_ended": self._has_ended,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best score so far.

        Without its file, or when scores are measured in another way now, the next is the best.
        """
        self._has_ended = state_dict.get("has_ended", True)
        now = self.protocol, self.num_images
        before = tuple(map(state_dict.get, ("protocol", "num_images"), now))
        if before != now:
            log.warning(
                "best.ckpt was the best by the protocol %s with %s fakes; it will be replaced by "
                "the first that is scored by %s with %s, since the two cannot be compared",
                *before,
                *now,
            )
        elif self.best.is_file():
            self.best_score = state_dict["best_score"]


def _keep(path: Path, previous: Path) -> None:
    """Give a file a second name, so that the first may be replaced without ever being away."""
    previous.unlink(missing_ok=True)
    try:
        os.link(path, previous)
    except OSError:  # a disk that knows no second names
        os.replace(path, previous)
