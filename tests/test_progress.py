"""What long work says on a terminal, and in a log."""

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from fpainter import progress
from fpainter.data.cache import cache_images
from fpainter.data.portraits import Portraits
from fpainter.progress import ProgressReport, reporting


@pytest.mark.parametrize("terminal", [False, True])
def test_a_line_every_quarter_of_a_minute_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, terminal: bool
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    console = Console(file=io.StringIO(), force_terminal=terminal)
    report = ProgressReport(Progress(console=console, disable=True, get_time=lambda: now[0]))
    with caplog.at_level(logging.INFO):
        for done in range(0, 4_001, 40):  # ten seconds each, 1000 in all
            report("statistics of the reals", done, 4_000)
            now[0] += 10
        report("FID", 0, 10)
    lines = [record.getMessage() for record in caplog.records]
    if terminal:
        assert lines == []
    else:
        assert len(lines) == 50
        assert lines[0] == "statistics of the reals: 80 of 4,000 images, 4 a second, 0:16:20 left"


def test_bars_go_when_things_are_done(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), reporting() as report:
        for done in range(3):
            report("FID", done, 2)
        assert not report.bars.tasks
    assert not caplog.records


def test_building_a_cache_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = iter(range(0, 10_000, 20))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    with caplog.at_level(logging.INFO):
        cache_images(Portraits(3), (4, 4), 3, tmp_path)
    assert "Caching portraits: 2 of 3 images" in caplog.text


def test_a_pipe_is_no_terminal_even_where_colours_are_asked_for() -> None:
    """As in a notebook, which sets FORCE_COLOR for what it starts."""
    code = "from fpainter.progress import console; print(console().is_terminal)"
    environment = os.environ | {"FORCE_COLOR": "1"}
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "False"
