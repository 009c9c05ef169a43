"""How several processes end together while there is nothing to save."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning import Trainer

from fpainter.callbacks.metrics import IterationBar

log = logging.getLogger(__name__)


@contextmanager
def ended_by_sigterm(trainer: Trainer) -> Iterator[None]:
    """Let a SIGTERM end all processes at once, with a shell's exit code.

    Nothing has been trained yet, so there is nothing to save. Lightning's own handler would wait
    for the other processes, which wait for the statistics.

    Args:
        trainer: whose processes end; the first of them tells those that it has started.
    """

    def end(number: int, frame: Any) -> None:
        log.info("told to stop while nothing is trained; nothing is lost")
        bar = trainer.progress_bar_callback
        if isinstance(bar, IterationBar):
            bar.on_exception()  # gives the terminal its cursor back
        if trainer.strategy.launcher is not None:
            trainer.strategy.launcher.kill(number)
        # Without any clean-up: Lightning kills this process when it sees that another has ended.
        os._exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # A process that waits for another in a barrier gets no handler in Python called.
    handler = end if trainer.is_global_zero else signal.SIG_DFL
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
