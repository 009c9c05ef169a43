"""Learning curves from a run's metrics.csv."""

import csv
from pathlib import Path

Series = list[tuple[int, float]]

PANELS = {
    "FID": ("fid",),
    "losses": ("loss/discriminator", "loss/generator"),
    "logits": ("logit/real", "logit/fake"),
    "penalties": ("penalty", "auxiliary"),
}


def read_metrics(path: Path) -> dict[str, Series]:
    """Read a metrics file into one (iteration, value) series per column.

    The file may be growing or end within a line; what is not a number is left out.
    """
    # A last line without its end may have lost digits of its last number.
    complete, _, _ = path.read_text(encoding="utf-8", errors="replace").rpartition("\n")
    series: dict[str, Series] = {}
    for row in csv.DictReader(complete.splitlines()):
        iteration = row.pop("iteration", None) or ""
        for name, text in row.items() if iteration.isdecimal() else ():
            try:
                series.setdefault(name, []).append((int(iteration), float(text)))
            except (TypeError, ValueError):
                continue
    return {name: points for name, points in series.items() if name and points}


def draw_curves(metrics: Path, output: Path) -> None:
    """Draw FID, losses, logits and penalties over iterations as one PNG.

    Args:
        metrics: a run's metrics.csv.
        output: the PNG to write; nothing is written when there is nothing to draw.
    """
    # Drawing libraries are slow to import, and only this function needs one.
    from matplotlib.figure import Figure

    series = read_metrics(metrics)
    panels = {title: [name for name in names if name in series] for title, names in PANELS.items()}
    panels = {title: names for title, names in panels.items() if names}
    if not panels:
        return
    figure = Figure(figsize=(4.2 * len(panels), 3.2), layout="constrained")
    all_axes = figure.subplots(1, len(panels), squeeze=False, subplot_kw={"xlabel": "iteration"})
    for axes, (title, names) in zip(all_axes.flat, panels.items(), strict=True):
        for name in names:
            iterations, values = zip(*series[name], strict=True)
            label = name.rpartition("/")[2]
            axes.plot(iterations, values, marker="o" if title == "FID" else None, label=label)
        axes.set_title(title)
        axes.grid(alpha=0.3)
        if len(names) > 1:
            axes.legend(frameon=False)
    figure.savefig(output, dpi=150)
