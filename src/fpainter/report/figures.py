"""The figures of a report: line plots as inline SVG, pictures as data; report.html styles them."""

import base64
import math
from dataclasses import dataclass
from html import escape

from fpainter.pictures.curves import Series
from fpainter.report.data import Picture, Report, Run

WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 22, 12, 52  # margins
DASHES = ("", "7 4", "2 3", "10 3 2 3", "14 5", "5 2 2 2 2 2")
COLOURS = 6  # in report.html
POINTS_AT_MOST = 100  # of a line; more are averaged
DOTS_AT_MOST = 30  # of a line; where one has more, points only show their number under the mouse


@dataclass(frozen=True)
class Line:
    """A labelled line; equal styles look the same in all plots."""

    label: str
    style: int
    points: Series


@dataclass(frozen=True)
class Axis:
    """Maps numbers from `low` to `high` to pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a number."""
        scale = math.log if self.logarithmic else float
        low, high, value = scale(self.low), scale(self.high), scale(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        """Return two to six round numbers between the ends."""
        if self.logarithmic:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for leading in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
                ticks = [digit * 10.0**e for e in decades for digit in leading]
                ticks = [tick for tick in ticks if self.low <= tick <= self.high]
                if 2 <= len(ticks) <= 6:
                    return ticks
        span = self.high - self.low
        power = 10 ** math.floor(math.log10(span))
        step = next(m * power for m in (0.2, 0.5, 1, 2) if span / (m * power) <= 5)
        indices = range(math.ceil(self.low / step), math.floor(self.high / step) + 1)
        return [index * step for index in indices]


def curves(report: Report) -> str:
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
    return "".join(plots)


def step_plots(report: Report) -> str:
    """Draw FID by painting step, a plot per protocol, and the share of each step."""
    results = [(i, e.name, r) for i, e in enumerate(report.entries) for r in e.results]
    plots = []
    for setting in sorted({r.setting for _, _, r in results}):
        lines = [Line(name, i, r.by_step) for i, name, r in results if r.setting == setting]
        plots.append(plot(f"FID by painting step, {setting}", "step", lines, True))
    shares = {i: Line(name, i, r.step_shares) for i, name, r in results if r.step_shares}
    plots.append(plot("Share of each step in the finished picture", "step", list(shares.values())))
    return "".join(plots)


def plot(title: str, x_label: str, lines: list[Line], may_be_logarithmic: bool = False) -> str:
    """Draw lines over iterations or steps as a figure with a legend.

    Args:
        title: what the numbers are.
        x_label: what they are over.
        lines: numbers that are not finite are left out.
        may_be_logarithmic: use a logarithmic axis where numbers spread by more than a factor of 5.

    Returns:
        HTML; nothing when there is nothing to draw.
    """
    # A point is the mean of equally many rows in every line: more would make a line smoother.
    size = max((math.ceil(len(each.points) / POINTS_AT_MOST) for each in lines), default=1) or 1
    lines = [Line(each.label, each.style, _thinned(each.points, size)) for each in lines]
    lines = [each for each in lines if each.points]
    if not lines:
        return ""
    x_axis, y_axis = _axes([point for line in lines for point in line.points], may_be_logarithmic)
    dotted = all(len(line.points) <= DOTS_AT_MOST for line in lines)
    drawn = "".join(_draw(line, x_label, x_axis, y_axis, dotted) for line in lines)
    legend = "".join(
        f'<li class="c{line.style % COLOURS}"><svg width="34" height="8" aria-hidden="true">'
        f'<path d="M0 4H34"{_dash(line.style)}/></svg>{escape(line.label)}</li>'
        for line in lines
    )
    notes = [f"means of {size} rows"] * (size > 1) + ["logarithmic"] * y_axis.logarithmic
    caption = f"{title} ({', '.join(notes)})" if notes else title
    return (
        f'<figure class="plot"><figcaption>{escape(caption)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(f"{title} over {x_label}s")}">'
        f"{_grid(x_label, x_axis, y_axis)}{drawn}</svg><ul>{legend}</ul></figure>\n"
    )


def _thinned(points: Series, size: int) -> Series:
    """Leave out what is not finite and average `size` neighbours."""
    points = [point for point in points if math.isfinite(point[1])]
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def _axes(points: Series, may_be_logarithmic: bool) -> tuple[Axis, Axis]:
    last = max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    logarithmic = may_be_logarithmic and 0 < 5 * low < high
    if logarithmic:
        low, high = low / 1.15, high * 1.15
    else:
        margin = 0.06 * (high - low) or 0.1 * abs(high) or 1
        low, high = low - margin, high + margin
    y_axis = Axis(low, high, HEIGHT - BOTTOM, TOP, logarithmic)
    return Axis(0, max(last, 1), LEFT, WIDTH - RIGHT), y_axis


def _grid(x_label: str, x_axis: Axis, y_axis: Axis) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>']
    for tick in y_axis.ticks:
        y = f"{y_axis(tick):.1f}"
        parts.append(f'<path class="rule" d="M{LEFT} {y}H{right}"/>')
        parts.append(f'<text class="y" x="{LEFT - 7}" y="{y}">{_number(tick)}</text>')
    for tick in x_axis.ticks:
        if tick == int(tick):
            x = f"{x_axis(tick):.1f}"
            parts.append(f'<text class="x" x="{x}" y="{bottom + 20}">{_number(tick)}</text>')
    middle, below = (LEFT + right) / 2, bottom + 42
    parts.append(f'<text class="label" x="{middle}" y="{below}">{escape(x_label)}</text>')
    return "".join(parts)


def _draw(line: Line, x_label: str, x_axis: Axis, y_axis: Axis, dotted: bool) -> str:
    places = [(f"{x_axis(x):.1f}", f"{y_axis(y):.1f}") for x, y in line.points]
    path = " ".join(f"{x},{y}" for x, y in places)
    dots = "".join(
        f'<circle cx="{x}" cy="{y}" r="{3 if dotted else 6}"{"" if dotted else " class=felt"}>'
        f"<title>{escape(line.label)}, {x_label} {at:,}: {value:.4g}</title></circle>"
        for (x, y), (at, value) in zip(places, line.points, strict=True)
    )
    colour = f"c{line.style % COLOURS}"
    return f'<g class="{colour}"><polyline points="{path}"{_dash(line.style)}/>{dots}</g>'


def _dash(style: int) -> str:
    """Let lines of one colour differ in their dashes, and those of one dash in their colours."""
    pattern = DASHES[(style + style // COLOURS) % len(DASHES)]
    return f' stroke-dasharray="{pattern}"' if pattern else ""


def _number(value: float) -> str:
    if abs(value) >= 10_000:
        return f"{value / 1000:,.6g}k"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def pictures(report: Report) -> str:
    """Show the newest samples and strips of each run."""
    articles = []
    for index, run in enumerate(report.runs):
        parts = [
            _figure(run, kind, picture, f"{folder}-{index}")
            for folder, kind in (("samples", "Samples"), ("strips", "Painting strips"))
            if (picture := run.newest_picture(folder))
        ]
        body = "".join(parts) or "<p>No picture yet.</p>"
        articles.append(f"<article><h3>{escape(run.name)}</h3>{body}</article>\n")
    return "".join(articles)


def _figure(run: Run, kind: str, picture: Picture, anchor: str) -> str:
    """Embed a picture that a click shows at its full size, without a script."""
    data = base64.b64encode(picture.path.read_bytes()).decode()
    caption = f"{kind} at iteration {picture.iteration:,}{_fid_then(run, picture.iteration)}"
    width, height = picture.size
    small = " small" if width < 320 else ""
    return (
        f'<figure id="at-{anchor}"><div class="frame{small}" id="{anchor}">'
        f'<a href="#{anchor}" aria-label="{escape(caption)}, full size">'
        f'<img src="data:image/png;base64,{data}" width="{width}" height="{height}" '
        f'alt="{escape(f"{kind} of {run.name} at iteration {picture.iteration}")}"></a>'
        f'<a class="close" href="#at-{anchor}">Close</a></div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _fid_then(run: Run, iteration: int) -> str:
    scored = [point for point in run.metrics.get("fid", []) if point[0] <= iteration]
    if not scored:
        return ""
    at, value = scored[-1]
    when = "" if at == iteration else f" at iteration {at:,}"
    return f"; FID {value:.2f}{when} ({run.setting})"
