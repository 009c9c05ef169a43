"""Sweeps: how far each job has come, and the table of their results."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from fpainter.checkpoints.inference import read_checkpoint, whole_checkpoint
from fpainter.errors import UserError
from fpainter.launch.command import in_sweep
from fpainter.report.data import natural
from fpainter.report.markdown import markdown_table
from fpainter.report.page import report

log = logging.getLogger(__name__)

# What makes two runs the same run; all else may change when one goes on.
SAME = ("model", "data", "image_size", "batch_size", "seed", "warm_start")
ELSEWHERE = ("cache_dir",)  # keys that say where something lies on this machine
FAILED = "failed.txt"  # in a job's directory, why it ended


@dataclass(frozen=True)
class EarlierStart:
    """What a run directory holds of a run.

    Attributes:
        checkpoint: its last one.
        iteration: how many are done.
        has_ended: whether it also has its final scores and pictures.
        best_fid: None without scores.
        config: the resolved config, plain data.
    """

    checkpoint: Path
    iteration: int
    has_ended: bool
    best_fid: float | None
    config: dict[str, Any]


def earlier_start(run_dir: Path) -> EarlierStart | None:
    """Return what an earlier start left in a run directory; None when it saved nothing.

    Raises:
        UserError: if a checkpoint there cannot be read.
    """
    last, best = (run_dir / "checkpoints" / f"{name}.ckpt" for name in ("last", "best"))
    if not last.is_file() and not last.with_name("previous.ckpt").is_file():
        return None
    last = whole_checkpoint(last)
    checkpoint = read_checkpoint(last, key="auto_resume")
    best_fid = None
    if best.is_file():
        state = read_checkpoint(best, key="auto_resume")["callbacks"]["RunCheckpoints"]
        best_fid = state["best_score"]
    has_ended = checkpoint["callbacks"].get("RunCheckpoints", {}).get("has_ended", True)
    config = checkpoint["fpainter"]["config"]
    return EarlierStart(last, checkpoint["iteration"], has_ended, best_fid, config)


def same_run(run_dir: Path, config: dict[str, Any]) -> EarlierStart | None:
    """Return the earlier start of this very run.

    Args:
        run_dir: where it would be.
        config: resolved, plain data.

    Raises:
        UserError: if the directory holds a run with other settings.
    """
    found = earlier_start(run_dir)
    if found is None:
        return None
    for key in SAME:
        differs = _difference(found.config.get(key), config.get(key), key)
        if differs:
            raise UserError(
                f"{run_dir} holds a run with other settings: {differs}; choose another directory"
            )
    return found


def _difference(there: Any, here: Any, key: str) -> str | None:
    """Name the first key in which two configs differ."""
    if key.endswith(ELSEWHERE):
        return None
    if isinstance(there, dict) and isinstance(here, dict):
        parts = (_difference(there.get(k), here.get(k), f"{key}.{k}") for k in {**there, **here})
        return next(filter(None, parts), None)
    return None if there == here else f"{key} is {there} there and {here} here"


class SweepTable(Callback):
    """Keep ``results.md`` in the sweep's directory: one row per job; at the end ``report.html``."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Keep why the job failed, if it did; renew the table."""
        if not in_sweep():
            return
        reason = Path(config.hydra.runtime.output_dir) / FAILED
        reason.unlink(missing_ok=True)
        if job_return.status == JobStatus.FAILED:
            error = job_return._return_value
            text = str(error).strip() or type(error).__name__
            log.error("job %s failed: %s", config.hydra.job.num, text)
            reason.write_text(text + "\n")
        write_table(Path(config.hydra.sweep.dir))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Write and show the table; add the page with curves and pictures."""
        directory = Path(config.hydra.sweep.dir)
        print(f"{write_table(directory)}\n{directory / 'results.md'}")
        if any(directory.rglob("metrics.csv")):
            report(directory, directory / "report.html")


def write_table(directory: Path) -> str:
    """Write ``results.md`` about the jobs in a sweep's directory, in one step.

    Returns:
        The table, Markdown.
    """
    text = _table(directory)
    temporary = directory / f".results.{os.getpid()}"
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, directory / "results.md")
    return text


def _table(directory: Path) -> str:
    jobs = sorted((p.parents[1] for p in directory.rglob(".hydra/overrides.yaml")), key=natural)
    settings = [_settings(job) for job in jobs]
    keys = list(dict.fromkeys(key for each in settings for key in each))
    varied = [key for key in keys if len({each.get(key) for each in settings}) > 1]
    rows = []
    for job, own in zip(jobs, settings, strict=True):
        name = job.relative_to(directory).as_posix()
        rows.append([name, *(own.get(key, "") for key in varied), *_results(job)])
    return markdown_table(["job", *varied, "best FID", "iterations", "status"], rows) + "\n"


def _settings(job: Path) -> dict[str, str]:
    """Return a job's overrides."""
    overrides = [str(each) for each in OmegaConf.load(job / ".hydra" / "overrides.yaml")]
    pairs = (override.partition("=") for override in overrides)
    return {key.lstrip("+"): value.replace("|", "\\|") for key, _, value in pairs}


def _results(job: Path) -> list[str]:
    """Return best FID, iterations and status."""
    planned = OmegaConf.load(job / ".hydra" / "config.yaml").num_iterations
    try:
        found = earlier_start(job)
    except UserError as error:
        return ["", "", str(error)]
    done = found.iteration if found else 0
    fid = "" if found is None or found.best_fid is None else f"{found.best_fid:.2f}"
    if (job / FAILED).is_file():
        reason = (job / FAILED).read_text().splitlines()[0].replace("|", "\\|")
        status = f"failed: {reason}"
    else:
        status = "finished" if found and found.has_ended and done >= planned else "not finished"
    return [fid, f"{done:,} of {planned:,}", status]
