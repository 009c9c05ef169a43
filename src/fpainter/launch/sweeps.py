"""Sweeps: why jobs have failed, and the table of their results."""

import logging
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from fpainter.errors import UserError
from fpainter.files import replacing
from fpainter.launch.continuation import earlier_start
from fpainter.launch.settings import in_sweep
from fpainter.report.data import natural
from fpainter.report.markdown import markdown_table
from fpainter.report.page import report

log = logging.getLogger(__name__)

FAILED = "failed.txt"  # in a job's directory, why it ended


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
    """Write ``results.md`` about the jobs in a sweep's directory.

    Returns:
        The table, Markdown.
    """
    jobs = sorted((p.parents[1] for p in directory.rglob(".hydra/overrides.yaml")), key=natural)
    settings = [_settings(job) for job in jobs]
    keys = list(dict.fromkeys(key for each in settings for key in each))
    varied = [key for key in keys if len({each.get(key) for each in settings}) > 1]
    rows = []
    for job, own in zip(jobs, settings, strict=True):
        name = job.relative_to(directory).as_posix()
        cells = name, *(own.get(key, "") for key in varied), *_results(job)
        rows.append([cell.replace("|", "\\|") for cell in cells])
    text = markdown_table(["job", *varied, "best FID", "iterations", "status"], rows) + "\n"
    with replacing(directory / "results.md") as path:
        path.write_text(text, encoding="utf-8")
    return text


def _settings(job: Path) -> dict[str, str]:
    """Return a job's overrides."""
    overrides = [str(each) for each in OmegaConf.load(job / ".hydra" / "overrides.yaml")]
    pairs = (override.partition("=") for override in overrides)
    return {key.lstrip("+"): value for key, _, value in pairs}


def _results(job: Path) -> list[str]:
    """Return best FID, iterations and status."""
    config = OmegaConf.load(job / ".hydra" / "config.yaml")
    assert isinstance(config, DictConfig)
    try:
        found = earlier_start(job)
    except UserError as error:
        return ["", "", str(error)]
    done = found.iteration if found else 0
    fid = "" if found is None or found.best_fid is None else f"{found.best_fid:.2f}"
    if (job / FAILED).is_file():
        status = f"failed: {(job / FAILED).read_text().splitlines()[0]}"
    else:
        status = (found and found.finished(config)) or "not finished"
    return [fid, f"{done:,} of {config.num_iterations:,}", status]
