"""The tables of a report: scores, scores by painting step, and where configurations differ."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpainter.report.data import Entry, Report, Run

# Measures in the order of their columns; others follow under their own names.
SYMBOLS = {"fid": "FID ↓", "fid_unrefined": "FID before the refiner ↓", "fid_infinity": "FID∞ ↓",
           "kid": "KID ↓", "precision": "precision ↑", "recall": "recall ↑", "density": "density ↑",
           "coverage": "coverage ↑", "inception_score": "Inception score ↑",
           "effective_rank": "effective rank"}  # fmt: skip
ABSENT = object()  # the value of a key that a run's config has not
# Where a run writes and what it reads from elsewhere on this machine. `data.dir` and
# `warm_start.ckpt` are not among them: they say what was trained.
PATH_LEAVES = {"directory", "default_root_dir", "cache_dir", "weights_path"}


@dataclass(frozen=True)
class Cell:
    """What a table shows; `value` is the number in full where the text is one."""

    text: str = ""
    value: float | None = None


@dataclass(frozen=True)
class Table:
    """Headers, whose later lines are small print, and rows whose first cell names them."""

    headers: list[str]
    rows: list[list[Cell]]


def number(value: float | None, error: float | None = None) -> Cell:
    """Return a number, and its error if there is one, rounded for reading."""
    if value is None:
        return Cell()
    spread = "" if error is None else f" ± {error:.2g}"
    text = f"{value:.2f}" if abs(value) >= 10 else f"{value:.3g}"
    return Cell(text + spread, value)


def score_table(report: Report) -> Table:
    """Make the table of runs and scored checkpoints, a column per measure and protocol."""
    settings = sorted({run.setting for run in report.runs if "fid" in run.metrics})
    trained = [
        (f"{which} {SYMBOLS[metric]}\nwhile training\n{setting}", metric, which, setting)
        for setting in settings
        for metric, which in (("fid", "best"), ("fid", "last"), ("fid_unrefined", "last"))
        if any(run.setting == setting and metric in run.metrics for run in report.runs)
    ]
    found = {(n, r.settings[n]) for e in report.entries for r in e.results for n in r.scores}
    rank = {name: index for index, name in enumerate(SYMBOLS)}
    evaluated = sorted(found, key=lambda each: (each[1], rank.get(each[0], len(rank)), each))
    of_runs = ["model", "data", "iterations", *(header for header, *_ in trained)]
    of_runs += ["s per iteration", "parameters\nG, D in millions"]
    of_results = ["evaluated"] if evaluated else []
    of_results += [f"{SYMBOLS.get(n, n.replace('_', ' '))}\nevaluated\n{s}" for n, s in evaluated]
    rows = []
    for entry in report.entries:
        row = [Cell(entry.name)]
        row += _of_run(entry.run, trained) if entry.run else [Cell()] * len(of_runs)
        if evaluated:
            scores = {(n, r.settings[n]): s for r in entry.results for n, s in r.scores.items()}
            row += [Cell(_evaluated(entry)), *(number(*scores.get(c, [None])) for c in evaluated)]
        rows.append(row)
    return Table(["run", *of_runs, *of_results], rows)


def _of_run(run: Run, trained: list[tuple[str, str, str, str]]) -> list[Cell]:
    """Describe a run: model, data, iterations, scores while training, seconds, parameters."""
    get = run.config.get
    parts = ("sequence_processor", "input_generator", "learning_rule", "refiner")
    targets = [get(f"model.generator.{part}._target_") for part in parts]
    if not any(targets):
        targets = [get("model.generator._target_")]
    model = [_last_name(target) for target in targets if target and target != "torch.nn.Identity"]
    steps, size, planned = map(get, ("model.generator.num_steps", "image_size", "num_iterations"))
    places = (get(f"data.{key}") for key in ("dir", "shards", "path"))
    source = Path(str(next(filter(None, places), _last_name(get("data._target_", ""))))).name
    done, sizes = run.iteration or 0, run.parameters
    return [
        Cell(", ".join([*model, f"T = {steps}"] if steps else model)),
        Cell(f"{source}, {size} px" if size else source),
        Cell(f"{done:,} of {planned:,}" if isinstance(planned, int) else f"{done:,}", done),
        *(_while_training(run, *column) for _, *column in trained),
        number(run.seconds),
        Cell(", ".join(sizes), float(sizes[0])) if sizes else Cell(),
    ]


def _last_name(target: Any) -> str:
    return str(target).rpartition(".")[2].removesuffix("Processor").removeprefix("from_")


def _while_training(run: Run, metric: str, which: str, setting: str) -> Cell:
    values = [value for _, value in run.metrics.get(metric, [])] if run.setting == setting else []
    if which == "best":
        values = sorted(filter(math.isfinite, values))[:1]
    return number(values[-1]) if values else Cell()


def _evaluated(entry: Entry) -> str:
    if not entry.results:
        return ""
    result = entry.results[0]
    unowned = "" if entry.run else Path(result.checkpoint).name
    return ", ".join(filter(None, [unowned, result.state, result.origin]))


def compare(runs: list[Run]) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """Split the keys of the runs' configs.

    Returns:
        Values per run of the keys that differ, ABSENT where a run has none, keys of the same last
        name and values joined by a newline; and the values of the keys that all share.
    """
    keys = sorted(filter(_telling, {key for run in runs for key in run.config}))
    same: dict[str, Any] = {}
    differing: dict[tuple[str, str], list[str]] = {}
    values = {key: [run.config.get(key, ABSENT) for run in runs] for key in keys}
    for key, each in values.items():
        if all(value == each[0] for value in each):
            same[key] = each[0]
        else:
            differing.setdefault((key.rpartition(".")[2], repr(each)), []).append(key)
    return {"\n".join(names): values[names[0]] for names in differing.values()}, same


def _telling(key: str) -> bool:
    copies = key.startswith(("callbacks.fid.", "hydra."))  # `fid` has them, too
    return not copies and key != "ckpt" and key.rpartition(".")[2] not in PATH_LEAVES


def config_tables(runs: list[Run]) -> tuple[Table, Table]:
    """Make the table of what differs between the runs' configs, and that of what all share."""
    differing, same = compare(runs)
    rows = [[Cell(keys), *map(_shown, each)] for keys, each in differing.items()]
    shared = [[Cell(key), _shown(value)] for key, value in same.items()]
    return Table(["key", *(run.name for run in runs)], rows), Table(["key", "value"], shared)


def _shown(value: Any) -> Cell:
    if value is ABSENT:
        return Cell("–")
    return Cell(value if isinstance(value, str) else json.dumps(value, default=str))


def step_table(report: Report) -> Table:
    """Make the table of scores by painting step, a column per checkpoint and protocol."""
    columns = [(e.name, r) for e in report.entries for r in e.results if r.by_step]
    by_step = [dict(result.by_step) for _, result in columns]
    steps = sorted({step for each in by_step for step in each})
    headers = ["step", *(f"{name}\nFID\n{result.by_step_setting}" for name, result in columns)]
    rows = [[Cell(str(s), s), *(number(each.get(s)) for each in by_step)] for s in steps]
    return Table(headers, rows)
