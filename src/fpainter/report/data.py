"""Reading what a report shows: the runs below a folder and their scores.

Runs may be unfinished, interrupted or copied in part; what is missing is left out.
"""

import base64
import re
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf
from PIL import Image

from fpainter.pictures.curves import Series, read_metrics, scored_by
from fpainter.report.results import Result, read_results, setting

PICTURES = {"samples": "Samples", "strips": "Painting strips"}  # by the folders of a run


class Picture(NamedTuple):
    """A PNG that can be read.

    Attributes:
        kind: what it shows.
        iteration: when it was drawn.
        size: width, height.
        data: the file in base64.
    """

    kind: str
    iteration: int
    size: tuple[int, int]
    data: str


@dataclass(frozen=True)
class Run:
    """A run directory.

    Args:
        name: its path below the report's folder.
        directory: where it is.
        config: config.yaml flattened to dotted keys; lists are values.
        metrics: metrics.csv as one (iteration, value) series per column.
        scored_by: how its FIDs were measured; None where metrics.csv does not say so.
    """

    name: str
    directory: Path
    config: dict[str, Any]
    metrics: dict[str, Series]
    scored_by: str | None = None

    @property
    def iteration(self) -> int | None:
        """Return the last iteration that was logged."""
        return max((points[-1][0] for points in self.metrics.values()), default=None)

    @property
    def seconds(self) -> float | None:
        """Return the median of the seconds per iteration."""
        values = [value for _, value in self.metrics.get("seconds", [])]
        return statistics.median(values) if values else None

    @property
    def setting(self) -> str:
        """Return how training scored: protocol, number of fakes and, where it is known, size.

        The config may be that of a later stage or start, which has not been scored yet.
        """
        planned = setting(self.config.get("fid.protocol"), self.config.get("fid.num_images"))
        return self.scored_by or planned

    @property
    def parameters(self) -> tuple[str, ...]:
        """Return millions of parameters of generator and discriminator, as the log says."""
        try:
            text = (self.directory / "train.log").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ()
        found = re.search(r"parameters: generator ([\d.]+) M, discriminator ([\d.]+) M", text)
        return found.groups() if found else ()

    def fid_at(self, iteration: int) -> tuple[int, float] | None:
        """Return when FID was last computed up to an iteration, and its value."""
        scored = [point for point in self.metrics.get("fid", []) if point[0] <= iteration]
        return scored[-1] if scored else None

    def newest_pictures(self) -> list[Picture]:
        """Return the newest of its samples and of its strips, where there are any to be read."""
        found = (self._newest(folder, kind) for folder, kind in PICTURES.items())
        return [picture for picture in found if picture]

    def _newest(self, folder: str, kind: str) -> Picture | None:
        numbered = [p for p in (self.directory / folder).glob("*.png") if p.stem.isdecimal()]
        for path in sorted(numbered, key=lambda path: int(path.stem), reverse=True):
            try:
                with Image.open(path) as picture:
                    picture.load()
                data = base64.b64encode(path.read_bytes()).decode()
                return Picture(kind, int(path.stem), picture.size, data)
            except (OSError, SyntaxError, ValueError):  # what Pillow raises for torn files
                continue
        return None


@dataclass(frozen=True)
class Entry:
    """A row of the score table: a run, a scored checkpoint, or a run with its newest scores.

    The results differ in nothing but measures and setting.
    """

    name: str
    run: Run | None
    results: tuple[Result, ...] = ()


@dataclass(frozen=True)
class Report:
    """Everything below a folder; `unread` are the files that could not be read."""

    folder: Path
    entries: list[Entry]
    unread: list[str]

    @property
    def runs(self) -> list[Run]:
        """Return the runs, in the order of their rows."""
        return [entry.run for entry in self.entries if entry.run]


def collect(folder: Path) -> Report:
    """Read all runs and scores below a folder.

    Args:
        folder: searched recursively; a run is a directory with config.yaml and metrics.csv.
    """
    unread: list[str] = []

    def read(reader: Callable[[Path], Any], path: Path, otherwise: Any) -> Any:
        try:
            return reader(path)
        except Exception as error:  # damaged and foreign files raise errors of all kinds
            unread.append(f"{path.relative_to(folder).as_posix()} ({type(error).__name__})")
            return otherwise

    runs = []
    for path in sorted(folder.rglob("config.yaml"), key=natural):
        directory, metrics = path.parent, path.with_name("metrics.csv")
        if metrics.is_file():
            config = read(read_config, path, {})
            series, scored = read(lambda m: (read_metrics(m), scored_by(m)), metrics, ({}, None))
            runs.append(Run(_name(directory, folder), directory, config, series, scored))
    results = []
    for path in sorted(folder.rglob("scores.json"), key=natural):
        results += read(read_results, path, [])
    return Report(folder, _entries(runs, results, folder), unread)


def natural(path: Path) -> list[Any]:
    """Sort job 10 of a sweep behind job 9."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path))]


def _name(path: Path, folder: Path) -> str:
    name = path.relative_to(folder).as_posix()
    return folder.resolve().name if name == "." else name


def read_config(path: Path) -> dict[str, Any]:
    """Read a config into dotted keys."""
    return _flat(OmegaConf.to_container(OmegaConf.load(path), resolve=False))


def _flat(node: Any, prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in node.items() if isinstance(node, dict) else ():
        inner = _flat(value, f"{prefix}{key}.")
        flat.update(inner or {f"{prefix}{key}": value})
    return flat


def _entries(runs: list[Run], results: list[Result], folder: Path) -> list[Entry]:
    """Give each run its newest scores; other checkpoints follow in rows of their own."""
    owners = [_owner(result, runs) for result in results]

    def of(run: Run | None) -> list[tuple[Result, ...]]:
        return _by_checkpoint([r for r, own in zip(results, owners, strict=True) if own is run])

    entries = []
    for run in runs:
        newest, *others = of(run) or [()]
        entries.append(Entry(run.name, run, newest))
        entries += [Entry(f"{run.name}, {each[0].state}", None, each) for each in others]
    for each in of(None):
        name = _name(each[0].source.parent, folder)
        entries.append(Entry(", ".join(filter(None, [name, each[0].state])), None, each))
    return entries


def _by_checkpoint(results: list[Result]) -> list[tuple[Result, ...]]:
    """Put results together that differ only in measures and setting, the newest first."""
    groups: dict[tuple[Any, ...], list[Result]] = {}
    for each in results:
        age = (each.iteration or 0, each.weights == "ema")
        groups.setdefault((age, each.checkpoint, each.weights, each.origin), []).append(each)
    return [tuple(groups[key]) for key in sorted(groups, reverse=True)]


def _owner(result: Result, runs: list[Run]) -> Run | None:
    """Return the innermost run that the checkpoint lies in."""
    path = Path(result.checkpoint).resolve()
    holding = [run for run in runs if path.is_relative_to(run.directory.resolve())]
    return max(holding, key=lambda run: len(run.directory.parts), default=None)
