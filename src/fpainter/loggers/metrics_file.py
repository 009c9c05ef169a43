"""metrics.csv: one row per logged iteration, kept when a run is resumed."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from fpainter.files import replacing


class MetricsFile(Logger):
    """Write metrics to ``<directory>/metrics.csv`` as they come.

    Lightning's own CSV logger deletes what an earlier start of the same run wrote; this one goes
    on, dropping only rows that lie after the iteration that training resumes from.

    Args:
        directory: the run directory; created when missing.
    """

    name = "metrics.csv"
    version = ""  # there is one file per run

    def __init__(self, directory: str | Path) -> None:
        super().__init__()
        self.path = Path(directory) / self.name
        self._rows: dict[int, dict[str, str]] = {}
        self._columns = ["iteration"]

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Keep nothing: the configuration has a file of its own."""

    @rank_zero_only
    def resume(self, iteration: int) -> None:
        """Take over the rows of an earlier start, up to and including `iteration`."""
        if not self.path.is_file():
            return
        # A disk that was full may have torn the last line, and half a number is another number.
        text = self.path.read_text(encoding="utf-8")
        reader = csv.DictReader(text[: text.rfind("\n") + 1].splitlines())
        self._columns = list(reader.fieldnames or self._columns)
        rows = {int(row["iteration"]): row for row in reader if row["iteration"]}
        self._rows = {i: row for i, row in rows.items() if i <= iteration}
        self._write_all()

    @rank_zero_only
    def log_metrics(
        self, metrics: Mapping[str, float], step: int | None = None, scored_by: str | None = None
    ) -> None:
        """Add values to the row of an iteration.

        Args:
            metrics: plain numbers by name.
            step: iterations done.
            scored_by: how scores among them were measured, for the column of this name.
        """
        iteration = step or 0
        texts = {name: f"{float(value):.6g}" for name, value in metrics.items()}
        if scored_by is not None:
            texts["scored_by"] = scored_by
        fresh_columns = [name for name in texts if name not in self._columns]
        self._columns += fresh_columns
        known = iteration in self._rows
        row = self._rows.setdefault(iteration, {"iteration": str(iteration)})
        row.update(texts)
        if known or fresh_columns or not self.path.is_file():
            self._write_all()
        else:
            with self.path.open("a", newline="") as file:
                self._writer(file).writerow(row)

    def _write_all(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = self._writer(file)
            writer.writeheader()
            writer.writerows(row for _, row in sorted(self._rows.items()))

    def _writer(self, file: Any) -> "csv.DictWriter[str]":
        return csv.DictWriter(file, self._columns, restval="")
