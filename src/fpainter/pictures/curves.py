"""Learning curves from a run's metrics.csv, and how lines are drawn."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Series = list[tuple[int, float]]

FIDS = ("fid", "fid_unrefined")
PANELS = {
    "FID": FIDS[:1],
    "losses": ("loss/discriminator", "loss/generator"),
    "logits": ("logit/real", "logit/fake"),
    "penalties": ("penalty", "penalty_fake", "auxiliary"),
    "augmentation": ("augment_probability", "real_sign"),
}


def read_metrics(path: Path) -> dict[str, Series]:
    """Read a metrics file into one (iteration, value) series per column.

    The file may be growing or end within a line; what is not a number is left out. So are FIDs
    that cannot be compared with the newest: of another protocol, image size or number of fakes, as
    the column ``scored_by`` says.
    """
    series: dict[str, Series] = {}
    rows = _rows(path)
    newest = _newest_setting(rows)
    for row in rows:
        if row.pop("scored_by", None) not in (None, "", newest):
            row = {name: text for name, text in row.items() if name not in FIDS}
        iteration = row.pop("iteration", None) or ""
        for name, text in row.items() if iteration.isdecimal() else ():
            try:
                series.setdefault(name, []).append((int(iteration), float(text)))
            except (TypeError, ValueError):
                continue
    return {name: points for name, points in series.items() if name and points}


def scored_by(path: Path) -> str | None:
    """Return how the newest score in a metrics file was measured; None where it does not say so."""
    return _newest_setting(_rows(path))


def _newest_setting(rows: list[dict[str, Any]]) -> str | None:
    return next(filter(None, (row.get("scored_by") for row in reversed(rows))), None)


def _rows(path: Path) -> list[dict[str, Any]]:
    # A last line without its end may have lost digits of its last number.
    complete, _, _ = path.read_text(encoding="utf-8", errors="replace").rpartition("\n")
    return list(csv.DictReader(complete.splitlines()))


def draw_curves(metrics: Path, output: Path) -> None:
    """Draw FID, losses, logits, penalties and augmentation over iterations as one PNG.

    Args:
        metrics: a run's metrics.csv.
        output: the PNG to write; nothing is written when there is nothing to draw.
    """
    series = read_metrics(metrics)
    panels = {title: [name for name in names if name in series] for title, names in PANELS.items()}
    panels = {title: names for title, names in panels.items() if names}
    if not panels:
        return
    figure, all_axes = blank(1, len(panels), (4.2 * len(panels), 3.2), xlabel="iteration")
    for axes, (title, names) in zip(all_axes, panels.items(), strict=True):
        lines = [(series[name], {"label": name.rpartition("/")[2]}) for name in names]
        draw_lines(axes, lines, dotted=title == "FID")
        axes.set_title(title)
        if len(names) > 1:
            axes.legend(frameon=False)
    figure.savefig(output, dpi=150)


def blank(
    rows: int, columns: int, size: tuple[float, float], **of_all: Any
) -> tuple[Any, list[Any]]:
    """Begin a figure; pyplot, which keeps figures until they are closed, is not used.

    Args:
        rows: rows of axes.
        columns: axes in a row.
        size: width and height in inches.
        of_all: properties of all axes, such as ``xlabel``.

    Returns:
        The figure and its axes, row by row.
    """
    # Drawing libraries are slow to import, and most commands draw no figure.
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, subplot_kw=of_all).flat)


def draw_lines(axes: Any, lines: Iterable[tuple[Series, dict[str, Any]]], dotted: bool) -> None:
    """Draw lines on a grid.

    Args:
        axes: where to draw.
        lines: points and properties, such as ``label``, of each.
        dotted: mark the points.
    """
    for points, properties in lines:
        axes.plot(*zip(*points, strict=True), marker="o" if dotted else None, **properties)
    axes.grid(alpha=0.3)
