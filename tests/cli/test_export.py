"""Exporting from the command line, and painting and scoring what was exported."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fpainter.tasks import export
from tests.cli.conftest import refused, run

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),
]


def images(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((folder / "images").iterdir())]


@pytest.mark.parametrize("weights", ["ema", "raw"])
def test_what_is_exported_paints_the_same(
    weights: str, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ckpt = finished_run / "checkpoints" / "last.ckpt"
    options = ["num_images=3", f"weights={weights}"]
    run("generate", f"ckpt={ckpt}", *options, f"hydra.run.dir={tmp_path / 'before'}")
    folder = tmp_path / "new" / "painter"
    run("export", f"ckpt={ckpt}", f"output={folder}", f"weights={weights}")
    assert {path.name for path in folder.iterdir()} == {
        "README.md", "config.json", "model.safetensors",
    }  # fmt: skip
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("torch.load was called"))
    run("generate", f"ckpt={folder}", *options, f"hydra.run.dir={tmp_path / 'after'}")
    assert images(tmp_path / "after") == images(tmp_path / "before")


def scores(folder: Path, ckpt: Path) -> dict[str, Any]:
    run("eval", f"ckpt={ckpt}", f"hydra.run.dir={folder}")
    (result,) = json.loads((folder / "scores.json").read_text())["results"]
    return {key: value for key, value in result.items() if key != "checkpoint"}


def test_what_is_exported_scores_the_same(finished_run: Path, tmp_path: Path) -> None:
    ckpt = finished_run / "checkpoints" / "best.ckpt"
    run("export", f"ckpt={ckpt}", f"hydra.run.dir={tmp_path}")
    assert scores(tmp_path / "after", tmp_path / "painter") == scores(tmp_path / "before", ckpt)
    description = json.loads((tmp_path / "painter" / "config.json").read_text())
    with (finished_run / "metrics.csv").open() as file:
        best = min(float(row["fid"]) for row in csv.DictReader(file) if row["fid"])
    assert description["best_fid"] == {"value": pytest.approx(best), "protocol": "png"}
    assert f"{best:.2f} (png)" in (tmp_path / "painter" / "README.md").read_text()


def test_mistakes_give_a_sentence(finished_run: Path, tmp_path: Path) -> None:
    ckpt = f"ckpt={finished_run / 'checkpoints' / 'last.ckpt'}"
    output = f"output={tmp_path / 'painter'}"
    assert "there is no such file" in refused("export", f"ckpt={tmp_path / 'none'}", output)
    assert "weights=half" in refused("export", ckpt, output, "weights=half")
    assert "give ckpt=PATH" in refused("export", "ckpt=null", output)
    assert not (tmp_path / "painter").exists()
    run("export", ckpt, output)
    again = tmp_path / "again"
    run("export", f"ckpt={tmp_path / 'painter'}", f"output={again}")
    for name in ("config.json", "model.safetensors"):
        assert (again / name).read_bytes() == (tmp_path / "painter" / name).read_bytes()
    file = f"ckpt={again / 'model.safetensors'}"
    assert f"give its folder, {again}, which says" in refused("generate", file)
    assert "overwrite=true replaces it" in refused("export", ckpt, output)
    run("export", ckpt, output, "overwrite=true")
    (tmp_path / "file").touch()
    assert "File exists" in refused("export", ckpt, f"output={tmp_path / 'file' / 'painter'}")
    assert "is a run directory; give " in refused("generate", f"ckpt={finished_run}")
    assert "not written by fpainter.export" in refused("generate", f"ckpt={tmp_path}")


def test_uploading(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed = []
    monkeypatch.setattr(export, "push_to_hub", lambda *given: pushed.append(given))
    ckpt = f"ckpt={finished_run / 'checkpoints' / 'last.ckpt'}"
    run("export", ckpt, f"output={tmp_path / 'a'}")
    assert pushed == []
    run("export", ckpt, f"output={tmp_path / 'b'}", "push=me/painter")
    assert pushed == [(tmp_path / "b", "me/painter")]
