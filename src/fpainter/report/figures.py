"""The line plots of a report, as SVG in the colours of report.html."""

import io
import math
import re
from dataclasses import dataclass
from typing import Any

from fpainter.pictures.curves import Series, blank, draw_lines
from fpainter.report.data import Report

SIZE = (480 / 72, 300 / 72)  # inches, at 72 units of the SVG each
DASHES = ((), (7, 4), (2, 3), (10, 3, 2, 3), (14, 5), (5, 2, 2, 2, 2, 2))
COLOURS = 6  # in report.html
POINTS_AT_MOST = 100  # of a line; more are averaged
DOTS_AT_MOST = 30  # of a line; where one has more, points are not marked


@dataclass(frozen=True)
class Line:
    """A labelled line; equal styles look the same in all plots."""

    label: str
    style: int
    points: Series

    @property
    def colour(self) -> int:
        """Return the number of its colour in report.html, from 1."""
        return 1 + self.style % COLOURS

    @property
    def dash(self) -> tuple[int, ...]:
        """Return lengths of dashes and gaps, other ones than of the last line of this colour."""
        return DASHES[(self.style + self.style // COLOURS) % len(DASHES)]


@dataclass(frozen=True)
class Plot:
    """A plot as the page shows it.

    Attributes:
        caption: what the numbers are, and what was done to them.
        description: what the numbers are, and over what.
        lines: as they are drawn, for the legend.
        svg: the drawing without title and legend.
    """

    caption: str
    description: str
    lines: list[Line]
    svg: str


def curves(report: Report) -> list[Plot]:
    """Draw FID, a plot per protocol, and the losses of all runs."""
    runs = [(style, entry.run) for style, entry in enumerate(report.entries) if entry.run]

    def lines(metric: str, setting: str | None = None) -> list[Line]:
        return [
            Line(run.name, style, run.metrics.get(metric, []))
            for style, run in runs
            if setting in (None, run.setting)
        ]

    plots = [
        plot(f"FID while training, {setting}", "iteration", lines("fid", setting), True)
        for setting in sorted({run.setting for run in report.runs})
    ]
    for part in ("generator", "discriminator"):
        plots.append(plot(f"Loss of the {part}", "iteration", lines(f"loss/{part}")))
    return [each for each in plots if each]


def step_plots(report: Report) -> list[Plot]:
    """Draw FID by painting step, a plot per protocol, and the share of each step."""
    results = [(i, e.name, r) for i, e in enumerate(report.entries) for r in e.results]
    plots = []
    for setting in sorted({r.by_step_setting for _, _, r in results}):
        lines = [Line(name, i, r.by_step) for i, name, r in results if r.by_step_setting == setting]
        plots.append(plot(f"FID by painting step, {setting}", "step", lines, True))
    shares = {i: Line(name, i, r.step_shares) for i, name, r in results if r.step_shares}
    plots.append(plot("Share of each step in the finished picture", "step", list(shares.values())))
    return [each for each in plots if each]


def plot(
    title: str, x_label: str, lines: list[Line], may_be_logarithmic: bool = False
) -> Plot | None:
    """Draw lines over iterations or steps.

    Args:
        title: what the numbers are.
        x_label: what they are over.
        lines: numbers that are not finite are left out.
        may_be_logarithmic: use a logarithmic axis where numbers spread by more than a factor of 5.

    Returns:
        The plot; None when there is nothing to draw.
    """
    # A point is the mean of equally many rows in every line: more would make a line smoother.
    size = max((math.ceil(len(each.points) / POINTS_AT_MOST) for each in lines), default=1) or 1
    lines = [Line(each.label, each.style, _thinned(each.points, size)) for each in lines]
    lines = [each for each in lines if each.points]
    if not lines:
        return None
    values = [value for line in lines for _, value in line.points]
    logarithmic = may_be_logarithmic and 0 < 5 * min(values) < max(values)
    notes = [f"means of {size} rows"] * (size > 1) + ["logarithmic"] * logarithmic
    caption = f"{title} ({', '.join(notes)})" if notes else title
    return Plot(
        caption, f"{title} over {x_label}s", lines, _svg(title, x_label, lines, logarithmic)
    )


def _thinned(points: Series, size: int) -> Series:
    """Leave out what is not finite and average `size` neighbours."""
    points = [point for point in points if math.isfinite(point[1])]
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def _svg(title: str, x_label: str, lines: list[Line], logarithmic: bool) -> str:
    """Draw lines that have points; the title only keeps the names in this SVG from those in others.

    Matplotlib does not know the colours of a page, which change with its scheme. It draws the
    page's colour n as #00000n, 0 being its ink, and CSS variables take their places afterwards.
    """
    import matplotlib as mpl  # slow to import
    from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator

    settings: Any = {
        "svg.fonttype": "none", "svg.hashsalt": title, "font.size": 13,
        "lines.scale_dashes": False, "lines.linewidth": 1.8, "lines.markersize": 6,
        "axes.spines.top": False, "axes.spines.right": False, "axes.labelpad": 8,
    }  # fmt: skip
    file = io.StringIO()
    with mpl.rc_context(settings):
        figure, (axes,) = blank(1, 1, SIZE, xlabel=x_label)
        drawn = [
            (line.points, {"color": f"#00000{line.colour}", "linestyle": (0, line.dash or None)})
            for line in lines
        ]
        draw_lines(axes, drawn, dotted=all(len(line.points) <= DOTS_AT_MOST for line in lines))
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 150k
        if logarithmic:
            axes.set_yscale("log")
            axes.minorticks_off()
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
        about = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=about)
    _, _, svg = file.getvalue().partition("<svg")
    svg = re.sub(r' id="[\w.]+_\d+"', "", f"<svg{svg}")  # the same names in every figure
    return re.sub(r"#00000(\d)", r"var(--c\1)", svg)
