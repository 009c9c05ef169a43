"""The checkpoints every run keeps: the last state, the one before it, and the best by FID."""

import logging
import math
import os
import signal
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import SIGTERMException

from fpainter.callbacks.stopping import stop_requested
from fpainter.checkpoints.inference import read_checkpoint, run_state
from fpainter.errors import UserError
from fpainter.files import replacing
from fpainter.nn.sizes import as_size, check_whole, size_text
from fpainter.training.gan_module import GANModule

log = logging.getLogger(__name__)


class CheckpointFile(TorchCheckpointIO):
    """Write a checkpoint straight into its file.

    Lightning's own way makes two copies of it in memory and one in the folder for temporary files.
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
        except RuntimeError as error:  # torch's, about the archive that it could not close
            if isinstance(error.__context__, OSError | KeyboardInterrupt):
                raise error.__context__ from None
            raise


class RunCheckpoints(Checkpoint):
    """Save ``last.ckpt`` regularly, at the end and on a signal; ``best.ckpt`` when FID falls.

    The last state before stays as ``previous.ckpt``, should a disk damage the newest. The state
    after the last iteration is saved when its scores and pictures are done; the one before it is
    saved, too, so that a run that is killed meanwhile goes on from there and makes them. While
    updates are skipped, the state is one to go back from: saving waits for the next sound one.

    Lightning's ModelCheckpoint counts optimiser steps, warns at each save of a manually optimised
    module and cannot keep two plain names; this says exactly what a run directory holds.

    Args:
        directory: the run's ``checkpoints`` folder.
        every: iterations between saves of ``last.ckpt``.
        monitor: the metric whose minimum is ``best.ckpt``.
        protocol: how it is measured; values of two protocols cannot be compared.
        num_images: of how many fakes; nor can those of two numbers.
        keep_every: iterations between states that stay, as ``<iteration>.ckpt``; None for none.
        image_size: side, or (H, W); nor can values of two sizes.

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
        image_size: int | Sequence[int] | None = None,
    ) -> None:
        check_whole("checkpoint_every", every)
        if keep_every is not None and keep_every < 1:
            raise ValueError(f"checkpoints.keep_every must be at least 1; got {keep_every}")
        self.last = Path(directory) / "last.ckpt"
        self.previous = Path(directory) / "previous.ckpt"
        self.best = Path(directory) / "best.ckpt"
        self.every = every
        self.keep_every = keep_every
        self.monitor = monitor
        self.best_score = math.inf
        size = None if image_size is None else list(as_size(image_size))
        self.scored_by: dict[str, Any] = {
            "protocol": protocol,
            "num_images": num_images,
            "image_size": size,
        }
        self._saved_at = -1
        self._due = False
        self._planned_end = -1
        self._ended = False

    def setup(self, trainer: Trainer, pl_module: GANModule, stage: str) -> None:
        """Remove what a start left that was killed while saving."""
        self._planned_end = trainer.max_steps
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # nobody asked for another
            trainer.strategy.checkpoint_io = CheckpointFile()
        if trainer.is_global_zero:
            for path in self.last.parent.glob("*.tmp"):
                path.unlink(missing_ok=True)

    def on_train_start(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Keep what is there of later iterations; save the best if an owed score was made up."""
        if trainer.is_global_zero and self.last.is_file():
            self._keep_later(pl_module.iteration)
        self._save_best(trainer)

    def on_train_batch_end(self, trainer: Trainer, pl_module: GANModule, *args: Any) -> None:
        """Save the last state when it is time to, and the best when there is a new one."""
        self._save_best(trainer)
        done = pl_module.iteration
        if self.keep_every and done % self.keep_every == 0:
            self._save(trainer, self.last.with_name(f"{done:07d}.ckpt"))
        if done == self._planned_end:
            return
        # Final scores take long. A budget or a time limit ends a run with an iteration that it can
        # begin again with; after the last of all there is none.
        ends_early = trainer.should_stop or done == trainer.max_steps
        self._due |= ends_early or done == self._planned_end - 1 or done % self.every == 0
        if self._due and not pl_module.skipped_in_a_row:
            self._save_last(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Save the final state, now with its scores and pictures.

        Raises:
            SIGTERMException: if a score may have been given up since the run was told to stop.
        """
        if trainer.world_size == 1 and stop_requested():
            raise SIGTERMException(128 + signal.SIGTERM)
        self._ended = True
        self._save_best(trainer)
        self._save_last(trainer, pl_module)

    def on_exception(
        self, trainer: Trainer, pl_module: GANModule, exception: BaseException
    ) -> None:
        """Save what there is when training is told to stop, which happens between two iterations.

        After an error nothing is saved: the checkpoint before it is the one to trust. Nor is it
        when something else ends the program, which may be in the middle of an iteration.
        """
        if not isinstance(exception, SIGTERMException):
            return
        done = pl_module.iteration
        if done == trainer.max_steps:
            log.info("stopped before the final scores and pictures%s", self._what_is_left())
            return
        if pl_module.skipped_in_a_row:
            log.info("stopped while updates were skipped%s", self._what_is_left())
            return
        if done not in (0, self._saved_at):
            self._save_last(trainer, pl_module)
        log.info("stopped after iteration %d; ckpt=%s goes on from there", done, self.last)

    def _keep_later(self, begun: int) -> None:
        """Let the last state stay that a run replaces which goes on from an older one."""
        try:
            there = read_checkpoint(self.last)["iteration"]
        except UserError:  # damaged: the run goes on from the state before
            return
        if there > begun:
            kept = self.last.with_name(f"{there:07d}.ckpt")
            keep(self.last, kept)
            log.warning(
                "this goes on from iteration %d of a run that had come to %d: its last state stays "
                "as %s, its later rows in metrics.csv go", begun, there, kept,
            )  # fmt: skip

    def _save_best(self, trainer: Trainer) -> None:
        score = trainer.callback_metrics.get(self.monitor)
        if score is not None and float(score) < self.best_score:
            self.best_score = float(score)
            self._save(trainer, self.best)

    def _save_last(self, trainer: Trainer, module: GANModule) -> None:
        # At the end the same iteration may be saved twice; the one before it stays.
        previous = None if self._saved_at == module.iteration else self.previous
        self._save(trainer, self.last, previous)
        self._saved_at, self._due = module.iteration, False

    def _save(self, trainer: Trainer, path: Path, previous: Path | None = None) -> None:
        """Save, so that there is a whole file at any moment."""
        try:
            # Only the first process writes.
            with replacing(path) if trainer.is_global_zero else nullcontext(path) as temporary:
                trainer.save_checkpoint(temporary, weights_only=False)
                if trainer.is_global_zero and previous is not None and path.exists():
                    keep(path, previous)
        except OSError as error:
            raise UserError(
                f"cannot save {path}: {error.strerror or error}{self._what_is_left()}"
            ) from error

    def _what_is_left(self) -> str:
        kept = next((path for path in (self.last, self.previous) if path.is_file()), None)
        return f"; the state saved before is whole, go on from it with ckpt={kept}" if kept else ""

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far, what kind of score it is, and whether the run has ended."""
        return {"best_score": self.best_score, "ended": self._ended, **self.scored_by}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best score so far.

        Without its file, or when scores are measured in another way now, the next is the best.
        """
        before = self._scored_by(state_dict)
        if not math.isfinite(state_dict["best_score"]):
            return
        if before != self.scored_by:
            log.warning(
                "best.ckpt was the best by the protocol %s with %s fakes%s; it will be replaced by "
                "the first that is scored by %s with %s%s, since the two cannot be compared",
                *_words(**before),
                *_words(**self.scored_by),
            )
        elif self.best.is_file():
            self.best_score = min(state_dict["best_score"], self._score_of_best())

    def _score_of_best(self) -> float:
        """Return the score of the best that is there: a run may go on from an older state."""
        try:
            there = run_state(read_checkpoint(self.best))
        except UserError:  # damaged, or of no run
            return math.inf
        same = self._scored_by(there) == self.scored_by
        return float(there.get("best_score", math.inf)) if same else math.inf

    def _scored_by(self, state: dict[str, Any]) -> dict[str, Any]:
        """Return how a state's scores were measured: what it does not say, as now."""
        return {key: state.get(key, now) for key, now in self.scored_by.items()}


def _words(protocol: Any, num_images: Any, image_size: Any) -> tuple[Any, ...]:
    return protocol, num_images, f" of {size_text(image_size)}" if image_size else ""


def keep(path: Path, previous: Path) -> None:
    """Give a file a second name, so that the first may be replaced without ever being away."""
    previous.unlink(missing_ok=True)
    try:
        os.link(path, previous)
    except OSError:  # a disk that knows no second names
        os.replace(path, previous)
