"""What a log is told about how far things are."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from fpainter.evaluation import progress
from fpainter.evaluation.progress import ScoreProgress


def test_a_line_every_half_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now, out = [0.0], io.StringIO()
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    console = Console(file=out, width=40)
    report = ScoreProgress(Progress(console=console, disable=True, get_time=lambda: now[0]))
    for done in range(0, 4_001, 40):  # ten seconds each, 1000 in all
        report("statistics of the reals", done, 4_000)
        now[0] += 10
    lines = out.getvalue().splitlines()
    assert len(lines) == 33
    assert lines[0] == ("statistics of the reals: 120 of 4,000 images, 4.0 a second, 0:16:10 left")
    report("FID", 0, 10)
    assert out.getvalue().splitlines()[33:] == []


def test_short_things_make_no_lines_and_bars_go(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.shown() as report:
        for done in range(3):
            report("FID", done, 2)
        assert not report.bars.tasks
    assert capsys.readouterr().out.strip() == ""
