"""The report from the command line: what it writes, and what it says when it cannot."""

import sys
from pathlib import Path

import pytest

from fpainter.report import __main__ as report


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    run = tmp_path / "logs" / "run"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("image_size: 32\n")
    (run / "metrics.csv").write_text("iteration,fid\n100,80.5532\n")
    return run.parent


def call(patch: pytest.MonkeyPatch, *arguments: str) -> None:
    patch.setattr(sys, "argv", ["fpainter-report", *arguments])
    report.main()


def test_report_writes_a_page_and_markdown(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call(monkeypatch, f"runs={runs}")
    assert "80.55" in (runs / "report.html").read_text(encoding="utf-8")
    assert "80.55" in (runs / "report.md").read_text(encoding="utf-8")
    assert str(runs / "report.html") in capsys.readouterr().out
    before = sorted(runs.iterdir())
    call(monkeypatch, f"runs={runs}")
    assert sorted(runs.iterdir()) == before


def test_output_may_lie_elsewhere(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = runs.parent / "new" / "page.html"
    call(monkeypatch, f"runs={runs}", f"output={output}")
    assert sorted(p.name for p in output.parent.iterdir()) == ["page.html", "page.md"]
    assert not (runs / "report.html").exists()


def test_real_run(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call(monkeypatch, f"runs={finished_run}", f"output={tmp_path}/report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "LSTM, ProjectLatent, DeltaRule, T = 4" in text
    assert "while training</small><small>png, 6 fakes" in text
    assert text.count("data:image/png;base64") == 2


def test_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, "--help")
    assert ended.value.code == 0
    assert "fpainter.report runs=DIR" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "runs= is missing"),
        (["runs="], "runs=: must be one of these keys"),
        (["run=x"], "run=x: must be one of these keys"),
        (["runs={tmp}/nowhere"], "there is no such folder"),
        (["runs={tmp}"], "no run"),
        (["runs={tmp}/logs", "output={tmp}/page.md"], "must end in .html"),
        (["runs={tmp}/logs", "output={tmp}/folder.html"], "Is a directory"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    arguments: list[str],
    said: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if any("logs" in argument for argument in arguments):
        request.getfixturevalue("runs")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(SystemExit) as stopped:
        call(monkeypatch, *(argument.format(tmp=tmp_path) for argument in arguments))
    assert stopped.value.code == 1
    message = capsys.readouterr().err
    assert message.startswith("fpainter: ")
    assert said in message
    assert message.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == []
