"""The benchmark's table, its file, and what it says when asked for what there is not."""

import json
from pathlib import Path

import pytest

from fpainter.tasks.benchmark import _shown
from tests.callbacks.test_checkpoints import pytestmark as pytestmark
from tests.cli.conftest import SMALL, refused, run


def test_figures_in_a_table_and_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "new" / "figures.json"
    run("benchmark", *SMALL, "what=[loading,painting,iteration,sampling]", "repeats=1",
        f"output={output}", f"hydra.run.dir={tmp_path}")  # fmt: skip
    figures = json.loads(output.read_text())
    assert figures["painting.deviation"] < 1e-4
    assert figures["iteration.loss_deviation"] < 1e-3
    assert 0 < figures["loading.share"] < 1
    assert {"painting.speedup", "iteration.speedup", "sampling.lstm_share"} <= figures.keys()
    table = capsys.readouterr().out
    assert all(name in table for name in ("painting.speedup", "loading.images_per_second"))


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("exponent_of_seconds", 0.877, "0.88"),
        ("exponent_of_bytes", 1.02, "1.02"),
        ("lstm_seconds", 0.0101, "10.1 ms"),
        ("bytes", 4.22e9, "4.22 GB"),
        ("memory_ratio", 0.265, "26.5 %"),
        ("speedup", 4.09, "4.1 ×"),
        ("images_per_second", 583_635.0, "583,635"),
    ],
)
def test_units(kind: str, value: float, text: str) -> None:
    assert _shown(kind, value) == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["what=[paintings]"], "name one or more of painting, growth, any_size"),
        (["what=[]"], "name one or more of"),
        (["repeats=0"], "repeats=0: must be at least 1"),
        (["what=painting", "model=base"], "the loop is written for painters with the delta rule"),
        (["what=painting", "model=lstm_sum"], "painters with the delta rule"),
        (["what=inception", "fid.weights_path=/nowhere"], "/nowhere"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)  # fmt: skip
def test_what_cannot_be_measured_is_named(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    small = [option for option in SMALL if "model=base" not in arguments or "model" not in option]
    assert message in refused("benchmark", *small, *arguments, f"hydra.run.dir={tmp_path}")


def test_what_cannot_be_measured_is_passed_over_where_there_is_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "figures.json"
    options = ["what=[painting,loading]", "model=lstm_sum", f"output={output}"]
    run("benchmark", *SMALL, *options, f"hydra.run.dir={tmp_path}")
    assert "painting: not measured: the loop is written for" in capsys.readouterr().out
    assert {name.partition(".")[0] for name in json.loads(output.read_text())} == {"loading"}
