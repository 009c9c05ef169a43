"""Make quality.md: ``python docs/make_quality.py quality [RUNS_DIR]``; or comparisons.md.

quality.yaml says which runs are its rows, and what is to be said of each. All figures come from
their run directories in RUNS_DIR, and are kept in quality/, a CSV file per run, from which the page
is made again where a run is no longer there. comparisons.md is made of comparisons.yaml in the same
way.

A row with ``seconds``, those that an iteration takes on the processor that the page speaks of,
ran elsewhere: its CPU minutes are computed from them.
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from omegaconf import OmegaConf
from PIL import Image

from fpainter.pictures.curves import blank, draw_lines
from fpainter.report import results
from fpainter.report.data import Entry, collect
from fpainter.report.markdown import markdown_table
from fpainter.report.tables import number

DOCS = Path(__file__).parent
MEASURES = ("fid", "density", "coverage", "recall")
COLUMNS = ("iteration", "cpu_minutes", "images", "scored_by", *MEASURES)
# Overrides that do not say how a painter learns.
BESIDES = ("data", "hydra", "seed", "num_iterations", "checkpoint", "fid", "logger", "callbacks.",
           "auto_resume", "ckpt=", "trainer=", "trainer.accelerator", "trainer.log")  # fmt: skip
LARGEST = 200_000  # bytes of a picture


class Record(NamedTuple):
    """What the page knows of a run.

    Attributes:
        facts: ``setting``, ``seed``, ``processor``, ``threads``.
        rows: a row per score, by `COLUMNS`, the last the one that counts.
    """

    facts: dict[str, str]
    rows: list[dict[str, str]]


def read_run(entry: Entry) -> Record:
    """Take the figures of a run from its directory.

    Raises:
        SystemExit: if it has not counted its CPU time, or was never scored.
    """
    run = entry.run
    assert run is not None
    spent = run.metrics.get("cpu_seconds")
    if not spent:
        sys.exit(f"{run.directory}: metrics.csv has no cpu_seconds; train it with this version")
    # Without the size: rows of one table may have several.
    trained = results.setting(run.config.get("fid.protocol"), run.config.get("fid.num_images"))
    scores: list[tuple[int, str, dict[str, float]]] = [
        (iteration, trained, {name: dict(run.metrics.get(name, ())).get(iteration)
                              for name in MEASURES})
        for iteration, _ in run.metrics.get("fid", [])
    ]  # fmt: skip
    for result in entry.results:  # of a scored checkpoint, with more fakes perhaps
        found = {name: result.scores[name].value for name in MEASURES if name in result.scores}
        if result.iteration is not None and "fid" in found:
            scores.append((result.iteration, result.setting, found))
    if not scores:
        sys.exit(f"{run.directory}: there is no FID in metrics.csv, and no scores.json")
    iterations, seconds = zip((0, 0.0), *spent, strict=True)
    rows = []
    for iteration, scored_by, values in scores:
        minutes = float(np.interp(iteration, iterations, seconds)) / 60
        images = images_seen(run.config, iteration)
        own = {name: f"{value:.6g}" for name, value in values.items() if value is not None}
        rows.append(
            {"iteration": str(iteration), "cpu_minutes": f"{minutes:.4g}", "images": str(images),
             "scored_by": scored_by, **own}
        )  # fmt: skip
    about: dict[str, Any] = json.loads((run.directory / "environment.json").read_text())
    facts = {
        "setting": " ".join(setting(run.directory)),
        "seed": run.config.get("seed"),
        "processor": about.get("processor", "unknown"),
        "threads": about.get("threads", "unknown"),
    }
    return Record({name: str(value) for name, value in facts.items()}, rows)


def images_seen(config: dict[str, Any], iteration: int) -> int:
    """Return how many reals a run has been shown, from its config with dotted keys."""
    images = start = 0
    for stage in config.get("stages") or [{"until": iteration}]:
        # An end that is not a number refers to that of the run.
        until = min(stage["until"], iteration) if isinstance(stage["until"], int) else iteration
        images += max(until - start, 0) * stage.get("batch_size", config["batch_size"])
        start = until
    return images


def setting(directory: Path) -> list[str]:
    """Return a run's overrides that say how a painter learns."""
    overrides: Any = OmegaConf.to_container(OmegaConf.load(directory / "overrides.yaml"))
    own = [
        each for each in overrides if each.startswith("data.flip") or not each.startswith(BESIDES)
    ]
    return ["warm_start.ckpt=PATH" if "ckpt=" in each else each for each in own]


def write_record(record: Record, path: Path) -> None:
    """Write a CSV file, the facts as comments above it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        file.writelines(f"# {name}: {value}\n" for name, value in record.facts.items())
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(record.rows)


def read_record(path: Path) -> Record:
    """Read what `write_record` wrote."""
    lines = path.read_text(encoding="utf-8").splitlines()
    heads = [line.removeprefix("# ") for line in lines if line.startswith("# ")]
    facts = dict(head.split(": ", 1) for head in heads)
    return Record(facts, list(csv.DictReader(lines[len(heads) :])))


def keep_pictures(run: Path, name: str, folder: Path) -> None:
    """Keep the newest samples and strips of a run as small JPEGs."""
    for kind in ("samples", "strips"):
        newest = max((run / kind).glob("*.png"), key=lambda path: int(path.stem), default=None)
        if newest is None:
            continue
        kept = folder / f"{name}_{kind}.jpg"
        with Image.open(newest) as opened:
            picture = opened.convert("RGB")
        quality = 92
        picture.save(kept, quality=quality, optimize=True)
        while kept.stat().st_size > LARGEST:
            if quality > 60:
                quality -= 8
            else:
                picture = picture.reduce(2)
            picture.save(kept, quality=quality, optimize=True)


def draw_curves(titles: dict[str, str], records: dict[str, Record], output: Path) -> None:
    """Draw FID over images seen, a panel for each way of scoring and a line for each run."""
    # What was scored once is no curve.
    ways = {row["scored_by"]: None for each in records.values() for row in each.rows}
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for way in ways:
        for name, record in records.items():
            points = [
                (float(row["images"]) / 1000, float(row["fid"]))
                for row in record.rows
                if row["scored_by"] == way
            ]
            if len(points) > 1:
                curves.setdefault(way, {})[name] = points
    if not curves:
        return
    size = (7.5 * len(curves), 5.0)
    figure, all_axes = blank(1, len(curves), size, xlabel="thousands of images seen")
    figure.set_facecolor("white")
    for axes, (way, lines) in zip(all_axes, curves.items(), strict=True):
        styled: Any = [
            (points, {"label": titles[name], "linestyle": ("-", "--", ":")[place // 10 % 3],
                      "markersize": 3})
            for place, (name, points) in enumerate(lines.items())
        ]  # fmt: skip
        draw_lines(axes, styled, dotted=True)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.set_title(f"FID ({way})")
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(output, dpi=100)


def table(rows: list[dict[str, Any]], records: dict[str, Record], folder: Path) -> str:
    """Return a table for each way of scoring, the newest score of each run in it."""
    headers = ["run", "what it is", "setting", "seed", "iterations", "CPU minutes", "images seen",
               "FID ↓", "density ↑", "coverage ↑", "recall ↑",
               "worth it?" if any("verdict" in row for row in rows) else "remarks"]  # fmt: skip
    by_way: dict[str, list[list[str]]] = {}
    for row in rows:
        facts, scores = records[row["run"]]
        last = dict(scores[-1])
        if "seconds" in row:
            last["cpu_minutes"] = str(int(last["iteration"]) * row["seconds"] / 60)
        cells = [number(float(last[name])).text if last.get(name) else "" for name in MEASURES]
        by_way.setdefault(last["scored_by"], []).append(
            [f"[{row['run']}]({folder.name}/{row['run']}.csv)", row["title"],
             f"`{facts['setting']}`", facts["seed"], f"{int(last['iteration']):,}",
             number(float(last["cpu_minutes"])).text, f"{int(last['images']):,}", *cells,
             opinion(row)]
        )  # fmt: skip
    parts = [f"Scored by {way}:\n\n{markdown_table(headers, body)}" for way, body in by_way.items()]
    machines = {"{processor}, threads: {threads}".format(**records[r["run"]].facts) for r in rows}
    return "\n\n".join([*parts, f"Processor: {'; '.join(sorted(machines))}."])


def opinion(row: dict[str, Any]) -> str:
    """Return what is said of a row: its verdict and its text, of which it may lack either."""
    verdict = f"**{row['verdict']}**" if "verdict" in row else ""
    return ": ".join(filter(None, (verdict, " ".join(row.get("text", "").split()))))


def page(about: dict[str, Any], records: dict[str, Record], folder: Path) -> str:
    """Return the page; pictures that are in `folder` are shown."""
    rows = about["rows"]
    parts = [
        f"# {about['title']}",
        f"<!-- Made by {Path(__file__).name} from {folder.name}.yaml and {folder.name}/. -->",
        about["about"].strip(),
        table(rows, records, folder),
    ]
    if (folder / "curves.png").is_file():
        parts.append(f"![FID over images seen, a line for each run]({folder.name}/curves.png)")
    for row in rows:
        kept = [folder / f"{row['run']}_{kind}.jpg" for kind in ("samples", "strips")]
        shown = [path for path in kept if row.get("pictures") and path.is_file()]
        if shown:
            parts.append(f"## {row['title']}")
            parts += [
                f"![{path.stem.rpartition('_')[2]}]({folder.name}/{path.name})" for path in shown
            ]
    return "\n\n".join(parts) + "\n"


def make(docs: Path, runs: Path | None, name: str = "quality") -> None:
    """Write ``NAME.md`` and ``NAME/`` beside ``NAME.yaml``.

    Args:
        docs: the folder of all three.
        runs: a folder of run directories; figures of those that are not there, or without it of
            all, are those kept in ``NAME/``.
        name: of the page.

    Raises:
        SystemExit: if a run or its figures are not there.
    """
    about: dict[str, Any] = OmegaConf.to_container(OmegaConf.load(docs / f"{name}.yaml"))  # type: ignore[assignment]
    folder = docs / name
    folder.mkdir(exist_ok=True)
    names = [row["run"] for row in about["rows"]]
    if not names:
        sys.exit(f"{docs / f'{name}.yaml'}: rows: names no runs")
    if runs is not None:
        found = {entry.run.name: entry for entry in collect(runs).entries if entry.run}
        for row in about["rows"]:
            if row["run"] not in found:
                continue
            write_record(read_run(found[row["run"]]), folder / f"{row['run']}.csv")
            if row.get("pictures"):
                keep_pictures(runs / row["run"], row["run"], folder)
    missing = [name for name in names if not (folder / f"{name}.csv").is_file()]
    if missing:
        sys.exit(f"{folder}: no figures of {', '.join(missing)}; give the folder of the runs")
    records = {name: read_record(folder / f"{name}.csv") for name in names}
    draw_curves({r["run"]: r["title"] for r in about["rows"]}, records, folder / "curves.png")
    (docs / f"{name}.md").write_text(page(about, records, folder), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or not (DOCS / f"{sys.argv[1]}.yaml").is_file():
        sys.exit("python docs/make_quality.py quality|comparisons [RUNS_DIR]")
    make(DOCS, Path(sys.argv[2]) if len(sys.argv) == 3 else None, sys.argv[1])
