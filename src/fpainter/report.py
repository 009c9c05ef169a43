"""Compare runs on one page: ``python -m fpainter.report runs=DIR``.

usage: fpainter-report runs=DIR [output=FILE.html]

Writes a page that needs no network, and its tables as Markdown beside it, about every run below
a folder: scores, learning curves, newest pictures, and where the configurations differ.

  runs    a folder, searched for runs (config.yaml with metrics.csv) and for the scores.json that
          fpainter-eval writes
  output  the page; DIR/report.html unless given
"""

import os
import sys
from datetime import datetime
from pathlib import Path

from fpainter.errors import UserError
from fpainter.visualisation.report_data import collect
from fpainter.visualisation.report_page import html, markdown


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


def _paths(arguments: list[str]) -> tuple[Path, Path]:
    """Read the command line into the folder and the output."""
    given = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if key not in ("runs", "output") or not equals or not value:
            raise UserError(f"{argument}: not understood; give runs=DIR and perhaps output=FILE")
        given[key] = Path(value).expanduser()
    if "runs" not in given:
        raise UserError("give the folder of the runs with runs=DIR")
    return given["runs"], given.get("output", given["runs"] / "report.html")


def main() -> None:
    """Run ``fpainter-report``."""
    arguments = sys.argv[1:]
    if {"--help", "-h"} & set(arguments):
        print(__doc__)
        return
    try:
        report(*_paths(arguments))
    except UserError as error:
        print(f"fpainter: {error}", file=sys.stderr)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
