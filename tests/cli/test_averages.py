"""Averages that are kept while training, and used by the commands afterwards."""

import json
from pathlib import Path

import pytest
import torch

from fpainter.checkpoints.inference import load_painter
from tests.cli.conftest import SMALL, refused, run
from tests.cli.test_commands import pytestmark as lightning_warnings
from tests.cli.test_kills import differences, state

pytestmark = lightning_warnings
KEPT = [*SMALL, "image_size=8", "checkpoint_every=4", "callbacks.averages.enabled=true"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whole")
    run(
        "train",
        *KEPT,
        "callbacks.averages.every=2",
        "num_iterations=14",
        f"hydra.run.dir={directory}",
    )
    return directory


def snapshots(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (directory / "averages").iterdir()}


def test_a_run_that_goes_on_is_exact(whole: Path, tmp_path: Path) -> None:
    """Also where the lost run left other snapshots, which are overwritten or deleted."""
    lost = ["callbacks.averages.every=1", "num_iterations=11", "model.generator_optimiser.lr=0.1"]
    run(
        "train",
        *KEPT,
        "callbacks.averages.every=2",
        "num_iterations=8",
        f"hydra.run.dir={tmp_path}",
    )
    kept = tmp_path / "checkpoints" / "last.ckpt"
    kept.rename(tmp_path / "checkpoints" / "kept.ckpt")
    again = f"ckpt={tmp_path / 'checkpoints' / 'kept.ckpt'}"
    run("train", again, *lost)
    assert "0000011.safetensors" in snapshots(tmp_path)
    run(
        "train", again, "num_iterations=14", "callbacks.averages.every=2",
        "model.generator_optimiser.lr=2e-4",
    )  # fmt: skip
    assert snapshots(tmp_path) == snapshots(whole)
    assert sorted(snapshots(whole))[::3] == [
        "0000002.safetensors",
        "0000008.safetensors",
        "0000014.safetensors",
    ]
    found, expected = state(tmp_path)["callbacks"], state(whole)["callbacks"]
    assert differences(expected["PowerAverages"], found["PowerAverages"]) == []


def test_a_search_says_which_horizon_is_best(whole: Path, tmp_path: Path) -> None:
    ckpt = f"ckpt={whole / 'checkpoints' / 'last.ckpt'}"
    run("eval", ckpt, "weights=search", "num_images=9", f"hydra.run.dir={tmp_path}")
    content = json.loads((tmp_path / "scores.json").read_text())
    fids = {result["weights"]: result["scores"]["fid"] for result in content["results"]}
    assert {"ema", "0.05", "0.1"} <= fids.keys()
    assert len(set(fids.values())) == len(fids)
    best = min(fids, key=lambda name: fids[name])
    assert content["best"]["weights"] == best
    assert f"weights={best}" in (tmp_path / "scores.md").read_text()
    run("eval", ckpt, "weights=[0.070,raw,0.07]", "num_images=9", f"hydra.run.dir={tmp_path}")
    again = json.loads((tmp_path / "scores.json").read_text())["results"]
    assert [result["weights"] for result in again] == ["0.07", "raw"]
    assert again[0]["scores"]["fid"] == fids["0.07"]


def test_other_commands_take_a_horizon(whole: Path, tmp_path: Path) -> None:
    ckpt = whole / "checkpoints" / "last.ckpt"
    images = [f"hydra.run.dir={tmp_path / 'images'}", "num_images=2", "what=images"]
    run("generate", f"ckpt={ckpt}", "weights=0.08", *images)
    painter = tmp_path / "painter"
    run("export", f"ckpt={ckpt}", "weights=0.08", f"output={painter}")
    assert "num_images=64 weights=0.08 " in (painter / "README.md").read_text()
    expected = load_painter(ckpt, 0.08).sampler.generator.state_dict()
    assert differences(expected, load_painter(painter, "0.08").sampler.generator.state_dict()) == []
    run("viewer", f"ckpt={ckpt}", "weights=0.08", "num_images=1", f"output={tmp_path / 'a.html'}")
    assert "0.08" in (tmp_path / "a.html").read_text()
    for source in (ckpt, painter):
        begun = tmp_path / source.stem
        run(
            "train", *KEPT, f"warm_start.ckpt={source}", "warm_start.weights=0.08",
            "num_iterations=1", "model.generator_optimiser.lr=0", f"hydra.run.dir={begun}",
        )  # fmt: skip
        taken = state(begun)["state_dict"]
        for name, tensor in expected.items():
            assert torch.equal(taken[f"generator.{name}"], tensor)


def test_mistakes_are_told(whole: Path, finished_run: Path) -> None:
    without, with_them = (
        f"ckpt={directory / 'checkpoints' / 'last.ckpt'}" for directory in (finished_run, whole)
    )
    for command, weights in (("eval", "0.08"), ("eval", "search"), ("generate", "0.08")):
        words = refused(command, without, f"weights={weights}")
        assert "its run kept no averages" in words
        assert "callbacks.averages.enabled=true" in words
    assert "weights=0.5: must be one of ema, raw, or the horizon" in refused(
        "eval", with_them, "weights=0.5"
    )
    assert "weights=search: must be one of" in refused("generate", with_them, "weights=search")
    assert "do not suffice for the horizon 0.001" in refused("generate", with_them, "weights=0.001")
