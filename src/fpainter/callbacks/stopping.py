"""How a run is told to stop, by a SIGTERM or by Ctrl-C, and how its processes stop together."""

import logging
import os
import signal
import threading
from types import FrameType
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException
from rich.console import Console
from torch import distributed

from fpainter.training.gan_module import GANModule

log = logging.getLogger(__name__)

_told: list[int] = []  # the signals that came while training


def stop_requested() -> bool:
    """Say whether this process has been told to stop when its iteration is done."""
    return bool(_told)


class Stopping(Callback):
    """End a run when it is told to, in all processes after the same iteration.

    Enter it around ``trainer.fit``. Before the first iteration there is nothing to save, and a
    SIGTERM or Ctrl-C ends all processes at once. While training it takes effect when the iteration
    and its scores and pictures are done; a second Ctrl-C stops at once.

    It replaces Lightning's own handler, which talks to the other processes wherever the signal
    finds this one, so that each may wait for ever for what another does not say.

    Args:
        trainer: whose run it is; this becomes the last of its callbacks.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self._training = False
        self._before: dict[int, Any] = {}
        self._group: Any = None  # of all processes, on the CPU

    def __enter__(self) -> None:
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        callbacks.append(self)
        trainer: Any = self.trainer
        trainer._signal_connector.register_signal_handlers = lambda: None
        # Before each batch Lightning asks the first process for a signal that only its own handler
        # notes, and waits for the device to hear the answer.
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None
        if threading.current_thread() is threading.main_thread():
            # A process that waits for another in a barrier gets no handler in Python called.
            handler = self._handle if self.trainer.is_global_zero else signal.SIG_DFL
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, handler)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        _told.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._training:
            self._end_at_once()
        _told.append(number)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, self._before[signal.SIGINT])
            log.info("stopping when this iteration is done; press Ctrl-C again to stop at once")

    def _end_at_once(self) -> None:
        log.info("told to stop while nothing is trained; nothing is lost")
        if self.trainer.strategy.launcher is not None:
            self.trainer.strategy.launcher.kill(signal.SIGTERM)
        Console(stderr=True).show_cursor()  # a bar that is drawn now has hidden it
        # Without any clean-up: Lightning kills this process when it sees that another has ended.
        os._exit(128 + signal.SIGTERM)

    def on_train_start(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Let signals take effect between iterations from now on."""
        if trainer.world_size > 1:  # all processes get here before one goes on
            self._group = distributed.new_group(backend="gloo")
        self._training = True
        for number in self._before:
            signal.signal(number, self._handle)

    def on_train_batch_end(self, trainer: Trainer, pl_module: GANModule, *args: Any) -> None:
        """Stop if this process or another was told to.

        Raises:
            SIGTERMException: with a shell's exit code.
        """
        told = stop_requested()
        if self._group is not None:  # on the CPU, so that nobody waits for a GPU
            anyone = torch.tensor(float(told))
            distributed.all_reduce(anyone, distributed.ReduceOp.MAX, group=self._group)
            told = bool(anyone)
        if told:
            # A process that the first has started must not look as if it had failed.
            raise SIGTERMException(128 + signal.SIGTERM if trainer.is_global_zero else 0)
