"""Writing the page about runs and the Markdown beside it."""

from datetime import datetime
from pathlib import Path

from fpainter.errors import UserError
from fpainter.files import replacing
from fpainter.report.data import collect
from fpainter.report.page import html, markdown


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
