"""How far a long job is: a bar on a terminal, lines of the log elsewhere."""

import logging
import time
from datetime import timedelta

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

_log = logging.getLogger(__name__)

_BAR_AFTER_SECONDS = 2.0
_SECONDS_BETWEEN_LINES = 30.0


class ProgressReport:
    """Report how far a job over images is, if it turns out to take a while.

    A terminal shows a bar after two seconds. Elsewhere, in a log or a pipe, a line every 30 seconds
    says how many images are done, how many a second, and how much time is left.

    Args:
        what: what is done, such as ``"Caching portraits"``.
    """

    def __init__(self, what: str) -> None:
        console = Console(stderr=True)
        self.what = what
        self._bar = Progress(
            *Progress.get_default_columns()[:2],
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(what, total=None)
        self._started = self._last_line = time.monotonic()

    def __enter__(self) -> "ProgressReport":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, done: int, total: int) -> None:
        """Report, if it is time to, that `done` of `total` images are done."""
        now = time.monotonic()
        seconds = now - self._started
        self._bar.update(self._task, completed=done, total=total)
        if seconds > _BAR_AFTER_SECONDS:
            self._bar.start()
        if self._bar.disable and done and now - self._last_line > _SECONDS_BETWEEN_LINES:
            self._last_line = now
            _log.info(
                "%s: %d of %d images, %.3g a second, %s left",
                self.what, done, total, done / seconds,
                timedelta(seconds=round(seconds / done * (total - done))),
            )  # fmt: skip
