"""How far long work is: bars on a terminal, lines of the log elsewhere."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import Progress, Task

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 15.0  # of a log; a silence that is longer looks as if all had stopped

# Called with what is being done, images (or other units) done and in total.
Report = Callable[[str, int, int], None]


class ProgressReport:
    """Show a bar for each thing that is being done; without a terminal, log a line now and then.

    Args:
        bars: where bars are shown, if their console is a terminal.
        seconds_between_lines: how often to log without one.
        unit: what is counted, in lines.
    """

    def __init__(
        self,
        bars: Progress,
        seconds_between_lines: float = SECONDS_BETWEEN_LINES,
        unit: str = "images",
    ) -> None:
        self.bars = bars
        self.seconds_between_lines = seconds_between_lines
        self.unit = unit
        self._last_line = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` units are done; 0 starts the clock."""
        known = {task.description: task.id for task in self.bars.tasks}
        number = known[what] if what in known else self.bars.add_task(what, note="")
        if done == 0:
            self.bars.reset(number)
        self.bars.update(number, completed=done, total=total)
        waited = time.monotonic() - self._last_line >= self.seconds_between_lines
        if waited and not self.bars.console.is_terminal:
            task = next(task for task in self.bars.tasks if task.id == number)
            log.info(_line(task, total, self.unit))
            self._last_line = time.monotonic()
        if done >= total:
            self.bars.remove_task(number)


def _line(task: Task, total: int, unit: str) -> str:
    line = f"{task.description}: {task.completed:,.0f} of {total:,} {unit}"
    if not task.completed or not task.elapsed:
        return line
    left = duration(task.elapsed * (total / task.completed - 1))
    return f"{line}, {task.completed / task.elapsed:,.3g} a second, {left} left"


def duration(seconds: float) -> str:
    """Write a duration, such as ``0:16:10``."""
    return str(timedelta(seconds=round(seconds)))


def console(stderr: bool = False, quiet: bool = False) -> Console:
    """Return a console that is a terminal where its stream is one.

    rich takes any stream for one where FORCE_COLOR is set, as it is in what notebooks start; that
    asks for colours, not for bars that are drawn hundreds of times.

    Args:
        stderr: write there, not to standard output.
        quiet: write nothing.
    """
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, quiet=quiet, force_terminal=stream.isatty())


@contextmanager
def reporting(quiet: bool = False, unit: str = "images") -> Iterator[ProgressReport]:
    """Show the progress of what is done in the block.

    Args:
        quiet: show nothing, as all processes but the first should.
        unit: what is counted, in lines.
    """
    shown = console(stderr=True, quiet=quiet)
    with Progress(console=shown, transient=True, disable=not shown.is_terminal) as bars:
        seconds = float("inf") if quiet else SECONDS_BETWEEN_LINES
        yield ProgressReport(bars, seconds, unit)
