"""What the run reports: losses to the loggers, a bar for whoever watches."""

import logging
import sys
import time
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback, ProgressBar
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from fpainter.loggers.metrics_file import MetricsFile
from fpainter.progress import SECONDS_BETWEEN_LINES, ProgressReport, console, duration
from fpainter.training.gan_module import GANModule

SHORT = {"loss/discriminator": "D", "loss/generator": "G"}


def report(
    trainer: Trainer, metrics: dict[str, float], iteration: int, scored_by: str | None = None
) -> None:
    """Give metrics to every logger under the number of iterations done.

    Args:
        trainer: has the loggers.
        metrics: plain numbers by name.
        iteration: how many are done.
        scored_by: how scores among them were measured, for metrics.csv alone.
    """
    for logger in trainer.loggers:
        if isinstance(logger, MetricsFile):
            logger.log_metrics(metrics, iteration, scored_by)
        else:
            logger.log_metrics(metrics, step=iteration)


def due_for_report(trainer: Trainer, module: GANModule) -> bool:
    """Say whether losses are read out after this iteration; doing so waits for the device."""
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]  # 0: never
    return every > 0 and module.iteration % every == 0


class MetricsReport(Callback):
    """Report the module's losses every `trainer.log_every_n_steps` iterations.

    Each value is the mean over the iterations since the last report in which it occurred, so
    that a penalty of every fourth iteration is seen whatever the interval, and over all
    processes. ``seconds`` is the mean time per iteration, with the wait for its images and
    without scoring, drawing and saving.
    """

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._counts: dict[str, int] = {}

    def on_train_start(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Let metrics.csv go on where the checkpoint left off."""
        self._sums = {name: value.to(pl_module.device) for name, value in self._sums.items()}
        for logger in trainer.loggers:
            if isinstance(logger, MetricsFile):
                logger.resume(pl_module.iteration)

    def on_train_batch_end(self, trainer: Trainer, pl_module: GANModule, *args: Any) -> None:
        """Add up the iteration's values; report when it is time to."""
        due = due_for_report(trainer, pl_module)
        loss = pl_module.metrics["loss/generator"]
        if due:
            loss.item()  # waits for the device, whose work belongs to the time
        spent = torch.full_like(loss, time.perf_counter() - pl_module.begun, dtype=torch.float32)
        for name, value in {**pl_module.metrics, "seconds": spent}.items():
            # In float32, since 50 values of bfloat16 would add up to a coarse sum.
            self._sums[name] = self._sums.get(name, 0.0) + value.float()
            self._counts[name] = self._counts.get(name, 0) + 1
        if due:
            self._report(trainer, pl_module.iteration)
            self._sums, self._counts = {}, {}

    def on_train_end(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Report a run that ends before its first report; what is added up stays."""
        if self._counts.get("seconds") == pl_module.iteration:
            self._report(trainer, pl_module.iteration)

    def _report(self, trainer: Trainer, iteration: int) -> None:
        own = torch.stack(list(self._sums.values()))
        sums = zip(self._sums, trainer.strategy.reduce(own, reduce_op="mean").tolist(), strict=True)
        report(trainer, {name: total / self._counts[name] for name, total in sums}, iteration)

    def state_dict(self) -> dict[str, Any]:
        """Return what has been added up since the last report."""
        return {"sums": self._sums, "counts": self._counts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on adding; in further processes from what the first has added up."""
        self._sums, self._counts = state_dict["sums"], state_dict["counts"]


class IterationBar(ProgressBar):
    """A bar over iterations with losses, FID, images per second and time left.

    Without a terminal (a log file, a batch job) it prints a line now and then instead. Images per
    second are those of iterations alone. The time left counts pictures and saving as often and as
    long as until then, and the scores that are due, each as long as the last one.

    Args:
        seconds_between_lines: how often to print without a terminal.

    Attributes:
        scores_every: iterations between scores; 0 where there are none.
    """

    def __init__(self, seconds_between_lines: float = SECONDS_BETWEEN_LINES) -> None:
        super().__init__()
        self.console = console()
        self.seconds_between_lines = seconds_between_lines
        self.scores_every = 0
        self._score_takes: float | None = None  # seconds, once there was one
        self._aside = 0.0  # seconds of scores, and of what they needed once, since it was begun
        self._last_line = 0.0
        self._losses = ""
        self._begun, self._begun_at = 0.0, 0  # when, and at which iteration
        self._spent, self._seen = 0.0, 0  # seconds and images of iterations since the last line
        self._progress: Progress | None = None
        self._scores: ProgressReport | None = None

    def disable(self) -> None:
        """Show nothing; Lightning calls this on all processes but the first."""
        self.seconds_between_lines = float("inf")
        self.console = console(quiet=True)

    def on_train_start(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Show the bar."""
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._training = self._progress.add_task(
            "training", total=trainer.max_steps, completed=pl_module.iteration, note=""
        )
        self._scores = ProgressReport(self._progress, self.seconds_between_lines)
        self._begun, self._begun_at = time.monotonic(), pl_module.iteration
        self._aside = 0.0
        self._progress.start()
        self._redirect_logs()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: GANModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar; read losses only as often as they are logged, to spare the device."""
        assert self._progress is not None
        iteration = pl_module.iteration
        if due_for_report(trainer, pl_module):
            losses = {short: float(pl_module.metrics[name]) for name, short in SHORT.items()}
            self._losses = " ".join(f"{short} {loss:.2f}" for short, loss in losses.items())
        self._spent += time.perf_counter() - pl_module.begun
        images = batch if isinstance(batch, torch.Tensor) else batch[0]
        self._seen += trainer.world_size * len(images)
        fid = trainer.callback_metrics.get("fid")
        note = self._losses if fid is None else f"{self._losses} FID {fid:.1f}".lstrip()
        speed = f"{self._seen / self._spent:.3g} images/s"
        self._progress.update(self._training, completed=iteration, note=f"{note} {speed}")
        now = time.monotonic()
        waited = now - self._last_line > self.seconds_between_lines
        if waited and not self.console.is_terminal:
            line = f"iteration {iteration}/{trainer.max_steps} {note}".rstrip()
            self.say(line + self._left(now, iteration, trainer.max_steps))
            self._last_line = now
            self._spent, self._seen = 0.0, 0

    def _left(self, now: float, iteration: int, end: int) -> str:
        """Say how fast iterations are, and how long the others take; the first says nothing yet."""
        done = iteration - self._begun_at
        if done < 2:
            return ""
        left = (now - self._begun - self._aside) / done * (end - iteration)
        note = ""
        if self.scores_every:
            due = -(-end // self.scores_every) - iteration // self.scores_every
            left += due * (self._score_takes or 0.0)
            note = " without scores" if self._score_takes is None else ""
        return f", {self._seen / self._spent:.3g} images a second, {duration(left)} left{note}"

    def scored(self, seconds: float, once: float) -> None:
        """Take note of a score that was made.

        Args:
            seconds: that it took.
            once: seconds that went, before it, into what all scores need.
        """
        self._aside += seconds + once
        self._score_takes = seconds

    def score(self, what: str, done: int, total: int) -> None:
        """Show how far a score has come, on a line of its own that goes when it is done."""
        if self._scores is not None:
            self._scores(what, done, total)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self.console.print(line, highlight=False, soft_wrap=True)  # a log has no width

    def teardown(self, *args: Any, **kwargs: Any) -> None:
        """Take the bar away when the run ends or fails, so that what is said then can be read."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = self._scores = None
            self._redirect_logs()

    on_exception = teardown

    def _redirect_logs(self) -> None:
        """Let log lines take the way of printed ones, for which a bar makes room."""
        for handler in logging.getLogger().handlers:
            if type(handler) is logging.StreamHandler and self.console.is_terminal:
                handler.setStream(sys.stdout)
