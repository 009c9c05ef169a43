"""The second stage as a user runs it: a U-Net on top of a painter that was trained before."""

import csv
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.cli.conftest import refused, run

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),
]


def test_a_unet_on_top_of_a_trained_painter(finished_run: Path, tmp_path: Path) -> None:
    painter = finished_run / "checkpoints" / "last.ckpt"
    run_dir = tmp_path / "stage"
    run(
        "train", "stage=unet", f"warm_start.ckpt={painter}", "num_iterations=2", "fid.every=1",
        f"hydra.run.dir={run_dir}",
    )  # fmt: skip
    stored, last = (
        torch.load(path, weights_only=True)
        for path in (painter, run_dir / "checkpoints" / "last.ckpt")
    )
    assert last["iteration"] == 2
    assert last["fpainter"]["config"]["data"] == stored["fpainter"]["config"]["data"]
    for name, tensor in stored["state_dict"].items():
        if name.startswith("generator_ema."):
            frozen = name.replace("generator_ema", "generator")
            assert torch.equal(last["state_dict"][name], tensor)
            assert torch.equal(last["state_dict"][frozen], tensor)
    lines = (run_dir / "metrics.csv").read_text().splitlines()
    scores = [row for row in csv.DictReader(lines) if row["fid"]]
    assert len({row["fid_unrefined"] for row in scores}) == 1
    assert len({row["fid"] for row in scores}) == 2

    run("eval", f"ckpt={run_dir}/checkpoints/last.ckpt", f"hydra.run.dir={tmp_path / 'eval'}")
    scored = json.loads((tmp_path / "eval" / "scores.json").read_text())["results"][0]["scores"]
    assert scored["fid"] == pytest.approx(float(scores[-1]["fid"]), rel=1e-4)
    assert scored["fid_unrefined"] == pytest.approx(float(scores[-1]["fid_unrefined"]), rel=1e-4)

    for source, folder in [(painter, "plain"), (run_dir / "checkpoints" / "last.ckpt", "refined")]:
        run("generate", f"ckpt={source}", "num_images=4", f"hydra.run.dir={tmp_path / folder}")
    for index in range(4):
        unrefined = tmp_path / "refined" / "unrefined" / f"{index:06d}.png"
        plain = tmp_path / "plain" / "images" / f"{index:06d}.png"
        assert unrefined.read_bytes() == plain.read_bytes()
        assert (tmp_path / "refined" / "images" / f"{index:06d}.png").is_file()
    with (
        Image.open(tmp_path / "plain" / "grid.png") as plain_grid,
        Image.open(tmp_path / "refined" / "grid.png") as refined_grid,
    ):
        assert refined_grid.width == 2 * plain_grid.width

    # It goes on without the painter's file, as what it was.
    newest = run_dir / "checkpoints" / "last.ckpt"
    run("train", f"ckpt={newest}", "num_iterations=3", "warm_start.ckpt=gone")
    again = torch.load(newest, weights_only=True)
    assert again["iteration"] == 3


def test_mistakes_give_a_sentence(finished_run: Path) -> None:
    painter = finished_run / "checkpoints" / "last.ckpt"
    assert "give the checkpoint of a trained painter" in refused("train", "stage=unet")
    assert "warm_start.ckpt=" in refused("train", "stage=unet", "warm_start.ckpt=nothing.ckpt")
    words = refused(
        "train", "stage=unet", f"warm_start.ckpt={painter}", "model.generator.d_hidden=24"
    )
    assert "there and" in words
    assert "generator.sequence_processor" in words
    words = refused("train", "stage=unet", f"warm_start.ckpt={painter}", "warm_start.weights=best")
    assert "warm_start.weights=best: must be one of ema, raw" in words
