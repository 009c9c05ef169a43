"""Compare runs on one page: ``python -m fpainter.report runs=DIR``.

Writes a page that needs no network, and its tables as Markdown beside it, about every run below
a folder: scores, learning curves, newest pictures, and where the configurations differ.
"""

from pathlib import Path

from fpainter.launch.command import read_options
from fpainter.launch.messages import sentences
from fpainter.report.page import report

KEYS = {
    "runs": "a folder, searched for runs (config.yaml with metrics.csv) and for the scores.json "
    "that fpainter-eval writes",
    "output": "the page; default: report.html in that folder",
}


def main() -> None:
    """Run ``fpainter-report``."""
    with sentences():
        given = read_options(KEYS, ("runs",), about=__doc__)
        runs = Path(given["runs"]).expanduser()
        output = given.get("output")
        report(runs, Path(output).expanduser() if output else runs / "report.html")


if __name__ == "__main__":
    main()
