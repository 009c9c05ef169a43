"""A report as one HTML page without references to anything outside it, and as Markdown."""

import re
from datetime import datetime
from html import escape
from pathlib import Path

from jinja2 import StrictUndefined, Template

from fpainter.errors import UserError
from fpainter.files import replacing
from fpainter.report import tables
from fpainter.report.data import Report, collect
from fpainter.report.figures import curves, step_plots
from fpainter.report.markdown import markdown_table
from fpainter.report.rules import rule_plots, rule_strips, rule_table


def report(runs: Path, output: Path) -> None:
    """Write the page about all runs in a folder, and its tables as Markdown beside it.

    Args:
        runs: the folder to search.
        output: a path that ends in ``.html``; replaced in one step.

    Raises:
        UserError: if there is nothing to show, or the page cannot be written.
    """
    if output.suffix != ".html":
        raise UserError(f"output={output}: must end in .html")
    if not runs.is_dir():
        raise UserError(f"runs={runs}: there is no such folder")
    found = collect(runs)
    if not found.entries:
        raise UserError(f"runs={runs}: no run (config.yaml with metrics.csv) and no scores.json")
    now = datetime.now()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        for path, write in ((output, html), (output.with_suffix(".md"), markdown)):
            with replacing(path) as temporary:
                temporary.write_text(write(found, now), encoding="utf-8")
    except OSError as error:
        raise UserError(f"output={output}: {error.strerror}") from error
    size = output.stat().st_size / 1e6
    print(f"{len(found.runs)} runs; {output} ({size:.1f} MB) and {output.with_suffix('.md').name}")


def html(report: Report, now: datetime) -> str:
    """Fill the template ``report.html``.

    Args:
        report: what was found.
        now: the date to print.
    """
    differing, shared = tables.config_tables(report.runs)
    text = Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    return Template(text, autoescape=True, undefined=StrictUndefined).render(
        title=_title(report),
        summary=_summary(report, now),
        scores=tables.score_table(report),
        curves=curves(report),
        by_step=step_plots(report),
        by_step_table=tables.step_table(report),
        rules=rule_table(report),
        rule_plots=rule_plots(report),
        rule_strips=rule_strips(report),
        runs=report.runs,
        differing=differing,
        shared=shared,
    )


def _title(report: Report) -> str:
    return f"Runs in {report.folder.resolve().name}"


def _summary(report: Report, now: datetime) -> str:
    runs = len(report.runs)
    unread = f" Could not be read: {', '.join(report.unread)}." if report.unread else ""
    counted = f"{runs} run{'' if runs == 1 else 's'} in {report.folder.resolve()}"
    return f"{counted}, {now:%Y-%m-%d %H:%M}.{unread}"


def markdown(report: Report, now: datetime) -> str:
    """Write the tables as Markdown."""
    differing, _ = tables.config_tables(report.runs)
    shown = {
        "Scores": tables.score_table(report),
        "Learning rules": rule_table(report),
        "FID by painting step": tables.step_table(report),
        "Configuration: what differs": differing,
    }
    parts = [f"# {_plain(_title(report))}", _plain(_summary(report, now))]
    for title, table in shown.items():
        if table.rows:
            rows = [[_plain(cell.text) for cell in row] for row in table.rows]
            parts += [f"## {title}", markdown_table([*map(_plain, table.headers)], rows)]
    return "\n\n".join(parts) + "\n"


def _plain(text: str) -> str:
    """Escape what Markdown and HTML would read as markup."""
    marked = re.sub(r"([\\`*_\[\]|~#])", r"\\\1", escape(text, quote=False))
    return marked.replace("\n", "<br>")
