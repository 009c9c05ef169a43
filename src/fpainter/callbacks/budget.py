"""How much computing a run has spent, and how much it may."""

import logging
import time
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback

from fpainter.callbacks.metrics import due_for_report, report
from fpainter.training.gan_module import GANModule

log = logging.getLogger(__name__)


class Budget(Callback):
    """Count the CPU time that iterations take; end training when it is spent.

    ``cpu_seconds`` in metrics.csv is the time of all threads of a process since the run began,
    also before it was resumed: that of its iterations, without scoring, drawing and saving, and
    without fetching images, which the cache serves at once. Of several processes it is the mean.
    Beside other programs, and from one number of threads to another, it says more of what a run
    costs than the clock on the wall. What a GPU does is not in it.

    A run that has spent its budget ends as if `num_iterations` had been reached, with its last
    score, pictures and checkpoint. Schedules stay functions of the iteration and of
    `num_iterations`, so a run that is to be ended so should have none, or one that fits.

    Place it before the callbacks whose time does not count.

    Args:
        stop_after_cpu_minutes: minutes of CPU time per process; None for no end.

    Raises:
        ValueError: if the minutes are no positive number.
    """

    def __init__(self, stop_after_cpu_minutes: float | None = None) -> None:
        minutes = stop_after_cpu_minutes
        if minutes is not None and not (isinstance(minutes, int | float) and minutes > 0):
            raise ValueError(f"stop_after_cpu_minutes must be a number above 0; got {minutes!r}")
        self.limit = None if minutes is None else 60 * minutes
        self.cpu_seconds = 0.0
        self._begun = 0.0
        self._reported_at = -1

    def on_train_start(self, trainer: Trainer, pl_module: GANModule) -> None:
        """End a run at once that has spent its budget before."""
        self._end_if_spent(trainer, pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: GANModule, *args: Any) -> None:
        """Start the clock."""
        self._begun = time.process_time()

    def on_train_batch_end(self, trainer: Trainer, pl_module: GANModule, *args: Any) -> None:
        """Stop the clock; report with the losses."""
        self.cpu_seconds += time.process_time() - self._begun
        if due_for_report(trainer, pl_module):
            self._report(trainer, pl_module)
        self._end_if_spent(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Report what the whole run took."""
        if self._reported_at != pl_module.iteration:
            self._report(trainer, pl_module)

    def _report(self, trainer: Trainer, module: GANModule) -> None:
        own = torch.tensor(self.cpu_seconds, device=module.device)
        mean = float(trainer.strategy.reduce(own, reduce_op="mean"))
        report(trainer, {"cpu_seconds": mean}, module.iteration)
        self._reported_at = module.iteration

    def _end_if_spent(self, trainer: Trainer, module: GANModule) -> None:
        if self.limit is None:
            return
        spent = self.cpu_seconds >= self.limit
        # All processes end after the same iteration, the first that one of them cannot afford.
        if trainer.strategy.reduce_boolean_decision(spent, all=False):
            log.info(
                "iteration %d: the budget of %g CPU minutes is spent", module.iteration,
                self.limit / 60,
            )  # fmt: skip
            trainer.fit_loop.epoch_loop.max_steps = module.iteration

    def state_dict(self) -> dict[str, Any]:
        """Return the CPU time so far, in seconds."""
        return {"cpu_seconds": self.cpu_seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting; each process from what the first had spent."""
        self.cpu_seconds = state_dict["cpu_seconds"]
