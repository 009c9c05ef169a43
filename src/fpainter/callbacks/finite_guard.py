"""What happens to a run whose gradients are no numbers any more."""

import logging
from pathlib import Path
from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import Callback

from fpainter.callbacks.metrics import due_for_report
from fpainter.checkpoints.safe_load import safe_load
from fpainter.errors import UserError
from fpainter.training.gan_module import GANModule
from fpainter.training.optimiser import regrouped

log = logging.getLogger(__name__)


class FiniteGuard(Callback):
    """Go back to the last checkpoint when the module has skipped too many updates, then stop.

    The module skips each update whose gradient is not finite, and counts. It is looked at when
    losses are reported, since looking waits for the device. Noise depends on the iteration, which
    goes on counting, so what follows the checkpoint is drawn anew. Where that does not help, the
    next way back is to the state before, ``previous.ckpt``.

    Args:
        checkpoint: ``last.ckpt`` of the run.
        patience: iterations in a row with a skipped update before going back.
        max_rollbacks: how often to go back before the run is stopped.

    Raises:
        ValueError: if a number is out of range.
    """

    def __init__(self, checkpoint: str | Path, patience: int = 20, max_rollbacks: int = 3) -> None:
        if patience < 1 or max_rollbacks < 0:
            raise ValueError(
                "patience must be at least 1 and max_rollbacks at least 0; "
                f"got {patience} and {max_rollbacks}"
            )
        self.checkpoint = Path(checkpoint)
        self.patience = patience
        self.max_rollbacks = max_rollbacks
        self._num_rollbacks = 0
        self._back_in = 0  # the iteration in which it last went back
        self._back_at = -1  # the iteration whose state came back

    def on_train_batch_end(self, trainer: Trainer, pl_module: GANModule, *args: object) -> None:
        """Look, when losses are reported.

        Raises:
            UserError: if it has gone back too often, or there is nothing whole to go back to.
        """
        if not due_for_report(trainer, pl_module):
            return
        since_back = pl_module.iteration - self._back_in
        skipped = min(int(pl_module.skipped_in_a_row), since_back)
        if skipped >= self.patience:
            self._go_back(trainer, pl_module, skipped)

    def _go_back(self, trainer: Trainer, module: GANModule, skipped: int) -> None:
        losses = ", ".join(f"{name} {float(value):.3g}" for name, value in module.metrics.items())
        facts = (
            f"iteration {module.iteration}: the last {skipped} updates were skipped, since their "
            f"gradients were not finite ({losses})"
        )
        if self._num_rollbacks == self.max_rollbacks or not self.checkpoint.is_file():
            raise UserError(
                f"{facts}; training stops after going back to a checkpoint "
                f"{self._num_rollbacks} times. Whatever {self.checkpoint.parent} holds is sound. "
                "A lower learning rate, model.clip or trainer.precision=32-true may help"
            )
        self._num_rollbacks += 1
        try:
            stored = self._state_to_go_back_to()
        except UserError as error:
            raise UserError(f"{facts}; {error}; ckpt=last goes on from the one before") from error
        module.load_state_dict(stored["state_dict"])
        for optimiser, state in zip(trainer.optimizers, stored["optimizer_states"], strict=True):
            optimiser.load_state_dict(regrouped(state, optimiser))
        self._back_in = module.iteration
        log.warning(
            "%s; back to the weights of iteration %d (%d of %d times)",
            facts, stored["iteration"], self._num_rollbacks, self.max_rollbacks,
        )  # fmt: skip

    def _state_to_go_back_to(self) -> dict[str, Any]:
        stored: dict[str, Any] = safe_load(self.checkpoint, "checkpoint")
        previous = self.checkpoint.with_name("previous.ckpt")
        if stored["iteration"] == self._back_at and previous.is_file():
            return safe_load(previous, "checkpoint")
        self._back_at = stored["iteration"]
        return stored
