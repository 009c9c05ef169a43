"""Learning rules compared: scores, curves and strips by rule, where runs differ in it."""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from omegaconf import OmegaConf

from fpainter.pictures.curves import Series
from fpainter.report.data import PICTURES, Entry, Picture, Report, Run
from fpainter.report.figures import Line, Plot, plot
from fpainter.report.tables import Cell, Table, number

GROUP = "model/learning_rule="


class Strip(NamedTuple):
    """How a rule paints: the newest strip of that run of it that has the best FID."""

    rule: str
    run: Run
    picture: Picture


def rule_of(run: Run) -> str:
    """Return what a run's learning rule was chosen by, or its class; empty without one."""
    try:
        given = list(OmegaConf.load(run.directory / "overrides.yaml"))
    except Exception:  # damaged and foreign files raise errors of all kinds
        given = []
    chosen = [str(each).removeprefix(GROUP) for each in given if str(each).startswith(GROUP)]
    target = str(run.config.get("model.generator.learning_rule._target_", ""))
    return chosen[-1] if chosen else target.rpartition(".")[2]


def by_rule(report: Report) -> dict[str, list[Entry]]:
    """Return the runs of each learning rule, in the order of the report; none if all have one."""
    found: dict[str, list[Entry]] = {}
    for entry in report.entries:
        if entry.run and (rule := rule_of(entry.run)):
            found.setdefault(rule, []).append(entry)
    return found if len(found) > 1 else {}


def rule_table(report: Report) -> Table:
    """Make the table of rules: means, and standard deviations where a rule has several runs."""
    rules = by_rule(report)
    settings = _settings(rules)
    headers = ["learning rule", "runs", "steps", "parameters\nG in millions"]
    headers += [f"best FID ↓\nwhile training\n{setting}" for setting in settings]
    headers += ["CPU minutes", "s per iteration", "effective rank\nevaluated"]
    rows = []
    for rule, entries in rules.items():
        runs = [entry.run for entry in entries if entry.run]
        steps = {str(run.config.get("model.generator.num_steps", "")) for run in runs}
        spent = [run.metrics["cpu_seconds"][-1][1] for run in runs if "cpu_seconds" in run.metrics]
        results = [result for entry in entries for result in entry.results[:1]]
        ranks = [r.scores["effective_rank"].value for r in results if "effective_rank" in r.scores]
        row = [
            Cell(rule),
            Cell(", ".join(run.name for run in runs)),
            Cell(", ".join(sorted(steps))),
        ]
        row.append(_mean(float(run.parameters[0]) for run in runs if run.parameters))
        for setting in settings:
            row.append(_mean(filter(math.isfinite, (_best(run, setting) for run in runs))))
        row.append(_mean(seconds / 60 for seconds in spent))
        row.append(_mean(run.seconds for run in runs if run.seconds is not None))
        rows.append([*row, _mean(ranks)])
    return Table(headers, rows)


def _settings(rules: dict[str, list[Entry]]) -> list[str]:
    runs = [entry.run for entries in rules.values() for entry in entries if entry.run]
    return sorted({run.setting for run in runs if run.metrics.get("fid")})


def _best(run: Run, setting: str | None = None) -> float:
    values = [v for _, v in run.metrics.get("fid", []) if setting in (None, run.setting)]
    return min(filter(math.isfinite, values), default=math.inf)


def _mean(values: Iterable[float]) -> Cell:
    found = list(values)
    if not found:
        return Cell()
    return number(statistics.mean(found), statistics.stdev(found) if len(found) > 1 else None)


def rule_plots(report: Report) -> list[Plot]:
    """Draw a line for each rule: FID over iterations and over CPU time, and shares of steps.

    Where a rule has several runs, it is their mean at the iterations that all of them have.
    """
    rules = by_rule(report)
    plots = []
    for setting in _settings(rules):
        over: dict[str, list[Line]] = {"iteration": [], "CPU second": []}
        for style, (rule, entries) in enumerate(rules.items()):
            runs = [entry.run for entry in entries if entry.run and entry.run.setting == setting]
            scores = [run.metrics["fid"] for run in runs if run.metrics.get("fid")]
            fid = _mean_series(scores)
            spent = dict(_mean_series([_spent(run) for run in runs if run.metrics.get("fid")]))
            timed = [(round(spent[at]), value) for at, value in fid if at in spent]
            over["iteration"].append(Line(rule, style, fid))
            over["CPU second"].append(Line(rule, style, timed))
        for x_label, lines in over.items():
            plots.append(plot(f"FID of each rule, {setting}", x_label, lines, True))
    shares = []
    for style, (rule, entries) in enumerate(rules.items()):
        found = [entry.results[0].step_shares for entry in entries if entry.results]
        shares.append(Line(rule, style, _mean_series([each for each in found if each])))
    plots.append(plot("Share of each step in the finished picture, by rule", "step", shares))
    return [each for each in plots if each]


def _spent(run: Run) -> Series:
    """Return the CPU seconds when FID was computed."""
    counted = run.metrics.get("cpu_seconds", [])
    found = []
    for iteration, _ in run.metrics.get("fid", []):
        before = [seconds for at, seconds in counted if at <= iteration]
        found += [(iteration, before[-1])] if before else []
    return found


def _mean_series(series: Sequence[Series]) -> Series:
    """Return the means of several series where all of them have a point."""
    if not series:
        return []
    points = [dict(each) for each in series]
    common = set(points[0]).intersection(*points[1:])
    return [(at, statistics.fmean(each[at] for each in points)) for at in sorted(common)]


def rule_strips(report: Report) -> list[Strip]:
    """Return a strip of each rule that has one."""
    strips = []
    for rule, entries in by_rule(report).items():
        runs = sorted((entry.run for entry in entries if entry.run), key=_best)
        for run in runs:
            found = [p for p in run.newest_pictures() if p.kind == PICTURES["strips"]]
            if found:
                strips.append(Strip(rule, run, found[0]))
                break
    return strips
