"""The page of experiments: its figures are those of the runs, and it can be made without them."""

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest
from omegaconf import OmegaConf
from PIL import Image

from fpainter.launch.configs import CONFIG_DIR
from tests.report.test_report import make_run

METRICS = """iteration,seconds,cpu_seconds,fid,coverage,scored_by
100,1,60,,,
150,,,80.5,,"png, 1,000 fakes, 32×32"
200,1,180,60.25,0.5,"png, 1,000 fakes, 32×32"
"""


def script() -> ModuleType:
    path = CONFIG_DIR.parent / "docs" / "make_quality.py"
    spec = importlib.util.spec_from_file_location("make_quality", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("iteration", "images"), [(50, 50 * 64), (300, 100 * 64 + 200 * 16)])
def test_stages_have_batches_of_their_own(iteration: int, images: int) -> None:
    stages = [{"until": 100, "batch_size": 64}, {"until": "${num_iterations}"}]
    assert script().images_seen({"batch_size": 16, "stages": stages}, iteration) == images


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Return a folder with quality.yaml and one with its two runs."""
    docs, runs = tmp_path / "docs", tmp_path / "runs"
    docs.mkdir()
    for name in ("plain", "half"):
        run = make_run(runs / name, {"batch_size": 32, "seed": 5}, METRICS)
        overrides = ["experiment=small", "data=folder", "seed=5", "fid.num_images=9",
                     *(["trainer.precision=bf16-mixed"] if name == "half" else [])]  # fmt: skip
        OmegaConf.save(overrides, run / "overrides.yaml")
        (run / "environment.json").write_text(json.dumps({"processor": "Z80", "threads": 1}))
    (runs / "half" / "samples").mkdir()
    noise = Image.effect_noise((900, 900), 200)
    noise.save(runs / "half" / "samples" / "0000200.png")
    checkpoint = runs / "half" / "checkpoints" / "last.ckpt"
    result = {
        "checkpoint": str(checkpoint), "iteration": 200, "weights": "ema", "protocol": "png",
        "num_fake": 5000, "scores": {"fid": 41.5, "density": 0.9, "coverage": 0.75},
    }  # fmt: skip
    (runs / "scores.json").write_text(json.dumps({"results": [result]}))
    rows = [
        {"run": "plain", "title": "As it was", "verdict": "baseline", "text": "The first."},
        {"run": "half", "title": "Halves", "verdict": "worth it", "text": "Fast.",
         "pictures": True},
    ]  # fmt: skip
    OmegaConf.save({"title": "Tried", "about": "All.", "rows": rows}, docs / "quality.yaml")
    return docs, runs


def test_figures_are_those_of_the_runs(folders: tuple[Path, Path]) -> None:
    docs, runs = folders
    script().make(docs, runs)
    page = (docs / "quality.md").read_text()
    tables = page.split("Scored by ")[1:]
    assert tables[0].startswith("png, 1,000 fakes:")
    assert ("| As it was | `experiment=small` | 5 | 200 | 3 | 6,400 | 60.25 |  | 0.5 |  "
            "| **baseline**: The first. |") in tables[0]  # fmt: skip
    assert tables[1].startswith("png, 5,000 fakes:")
    assert ("| Halves | `experiment=small trainer.precision=bf16-mixed` | 5 | 200 | 3 | 6,400 "
            "| 41.50 | 0.9 | 0.75 |  | **worth it**: Fast. |") in tables[1]  # fmt: skip
    assert "Z80, threads: 1" in page
    # Between two reports CPU time grows evenly.
    first = (docs / "quality" / "plain.csv").read_text().splitlines()[5]
    assert first == '150,2,4800,"png, 1,000 fakes",80.5,,,'
    kept = docs / "quality" / "half_samples.jpg"
    assert "quality/half_samples.jpg" in page
    assert kept.stat().st_size <= 200_000
    with Image.open(docs / "quality" / "curves.png") as curves:
        curves.verify()


def test_the_page_is_made_again_without_runs(folders: tuple[Path, Path]) -> None:
    docs, runs = folders
    make = script().make
    make(docs, runs)
    page = (docs / "quality.md").read_bytes()
    shutil.rmtree(runs)
    (docs / "quality.md").unlink()
    make(docs, None)
    assert (docs / "quality.md").read_bytes() == page
    (docs / "quality" / "plain.csv").unlink()
    with pytest.raises(SystemExit, match="no figures of plain"):
        make(docs, None)


def test_what_is_missing_is_said(folders: tuple[Path, Path]) -> None:
    docs, runs = folders
    make = script().make
    with pytest.raises(SystemExit, match="no figures of plain, half"):
        make(docs, docs)
    metrics = runs / "plain" / "metrics.csv"
    metrics.write_text("iteration,fid\n200,3\n")
    with pytest.raises(SystemExit, match="has no cpu_seconds"):
        make(docs, runs)


def test_minutes_of_a_run_on_another_machine(folders: tuple[Path, Path]) -> None:
    docs, runs = folders
    about = OmegaConf.load(docs / "quality.yaml")
    about.rows = [{"run": "plain", "title": "Elsewhere", "seconds": 0.6}]
    OmegaConf.save(about, docs / "elsewhere.yaml")
    script().make(docs, runs, "elsewhere")
    row = (docs / "elsewhere.md").read_text().split("| Elsewhere |")[1].splitlines()[0]
    assert row == " `experiment=small` | 5 | 200 | 2 | 6,400 | 60.25 |  | 0.5 |  |  |"
