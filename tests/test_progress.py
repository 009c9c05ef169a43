"""What a long job says on a terminal, and in a log."""

import io
import logging
from pathlib import Path

import pytest
from rich.console import Console

from fpainter import progress as module
from fpainter.data.cache import cache_images
from fpainter.data.portraits import Portraits
from fpainter.progress import ProgressReport


@pytest.mark.parametrize(
    ("terminal", "after", "shown"), [(True, -1.0, True), (True, 60.0, False), (False, -1.0, False)]
)
def test_a_bar_only_when_slow_and_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, terminal: bool, after: float, shown: bool
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(
        module, "Console", lambda stderr: Console(file=written, force_terminal=terminal)
    )
    monkeypatch.setattr(module, "_BAR_AFTER_SECONDS", after)
    cache_images(Portraits(3), (4, 4), 3, tmp_path)
    assert ("Caching portraits" in written.getvalue()) == shown


@pytest.mark.parametrize("terminal", [False, True])
def test_a_line_now_and_then_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, terminal: bool
) -> None:
    now = 1000.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    monkeypatch.setattr(
        module, "Console", lambda stderr: Console(file=io.StringIO(), force_terminal=terminal)
    )
    with caplog.at_level(logging.INFO), ProgressReport("Caching dogs") as progress:
        for done in range(0, 5000, 50):  # 20 a second
            progress.update(done, 5000)
            now += 2.5
    lines = [record.getMessage() for record in caplog.records]
    if terminal:
        assert lines == []
    else:
        assert lines[0] == "Caching dogs: 650 of 5000 images, 20 a second, 0:03:38 left"
        assert lines[1].startswith("Caching dogs: 1300 of 5000 images")
        assert len(lines) == 7


def test_building_a_cache_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = iter(range(0, 10_000, 20))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    with caplog.at_level(logging.INFO):
        cache_images(Portraits(3), (4, 4), 3, tmp_path)
    assert "Caching portraits: 2 of 3 images, 0.05 a second, 0:00:20 left" in caplog.text
