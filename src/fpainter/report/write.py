"""The page about runs and the Markdown beside it, written."""

import os
from datetime import datetime
from pathlib import Path

from fpainter.errors import UserError
from fpainter.report.data import collect
from fpainter.report.page import html, markdown


def report(runs: Path, output: Path) -> None:
    """Write the page and the Markdown beside it.

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
        _replace(output, html(found, now))
        _replace(output.with_suffix(".md"), markdown(found, now))
    except OSError as error:
        raise UserError(f"output={output}: {error.strerror}") from error
    size = output.stat().st_size / 1e6
    print(f"{len(found.runs)} runs; {output} ({size:.1f} MB) and {output.with_suffix('.md').name}")


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
