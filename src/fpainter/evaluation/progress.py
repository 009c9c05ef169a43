"""How far statistics and scores are, for whoever watches a terminal or reads a log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import Progress, Task

from fpainter.evaluation.processes import rank

# Called with what is being done, images done and images in total.
Report = Callable[[str, int, int], None]


class ScoreProgress:
    """Show a bar for each thing that is being done; without a terminal, print a line now and then.

    Args:
        bars: where bars are shown, and on whose console lines are printed.
        seconds_between_lines: how often to print without a terminal.
    """

    def __init__(self, bars: Progress, seconds_between_lines: float = 30.0) -> None:
        self.bars = bars
        self.seconds_between_lines = seconds_between_lines
        self._last_line = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` images are done; 0 starts the clock."""
        known = {task.description: task.id for task in self.bars.tasks}
        number = known[what] if what in known else self.bars.add_task(what, note="")
        if done == 0:
            self.bars.reset(number)
        self.bars.update(number, completed=done, total=total)
        waited = time.monotonic() - self._last_line >= self.seconds_between_lines
        if waited and not self.bars.console.is_terminal:
            task = next(task for task in self.bars.tasks if task.id == number)
            self.bars.console.print(_line(task, total), highlight=False, soft_wrap=True)
            self._last_line = time.monotonic()
        if done >= total:
            self.bars.remove_task(number)


def _line(task: Task, total: int) -> str:
    line = f"{task.description}: {task.completed:,.0f} of {total:,} images"
    if not task.completed or not task.elapsed:
        return line
    left = timedelta(seconds=round(task.elapsed * (total / task.completed - 1)))
    return f"{line}, {task.completed / task.elapsed:,.1f} a second, {left} left"


@contextmanager
def shown() -> Iterator[ScoreProgress]:
    """Show the progress of a command while the block runs, in the first process alone."""
    console = Console(quiet=rank() > 0)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        yield ScoreProgress(bars)
