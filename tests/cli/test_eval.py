"""Scoring as a user does it: checkpoints, several of them, folders of images."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.conftest import SMALL, refused, run
from tests.cli.forks import run_together
from tests.cli.test_commands import rows

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),
]


def results(directory: Path) -> list[dict[str, Any]]:
    return json.loads((directory / "scores.json").read_text())["results"]


@pytest.mark.usefixtures("real_network")
def test_the_score_of_training(tmp_path: Path) -> None:
    options = ["num_iterations=1", "fid.enabled=true", "fid.num_images=10"]
    few = [*SMALL[:-1], "data.num_images=10"]
    run("train", *few, *options, f"hydra.run.dir={tmp_path / 'run'}")
    ckpt = tmp_path / "run" / "checkpoints" / "last.ckpt"
    run("eval", f"ckpt={ckpt}", f"hydra.run.dir={tmp_path}", "metrics=[fid,inception_score]")
    (first,) = results(tmp_path)
    (trained,) = rows(tmp_path / "run")
    assert trained["scored_by"] == "png, 10 fakes, 16×16"
    assert first["scores"]["fid"] == pytest.approx(float(trained["fid"]), rel=1e-4)
    expected = {
        "protocol": "png", "num_real": 10, "num_fake": 10, "weights": "ema",
        "checkpoint": str(ckpt), "iteration": 1,
    }  # fmt: skip
    assert expected.items() <= first.items()
    assert "inception_score" not in first["scores"]  # the installed weights have no classifier


def test_other_ways_to_score(finished_run: Path, tmp_path: Path) -> None:
    ckpt = finished_run / "checkpoints" / "last.ckpt"
    run("eval", f"ckpt={ckpt}", f"hydra.run.dir={tmp_path}")
    (first,) = results(tmp_path)
    assert first["scores"]["fid"] == pytest.approx(float(rows(finished_run)[-1]["fid"]), rel=1e-4)
    run(
        "eval", f"ckpt={ckpt}", f"hydra.run.dir={tmp_path}", "weights=raw", "fid.protocol=paper",
        "num_images=5",
    )  # fmt: skip
    (other,) = results(tmp_path)
    assert (other["weights"], other["protocol"], other["num_fake"]) == ("raw", "paper", 5)
    assert other["scores"]["fid"] != first["scores"]["fid"]


def test_all_metrics_of_several_checkpoints(finished_run: Path, tmp_path: Path) -> None:
    last, best = (finished_run / "checkpoints" / f"{name}.ckpt" for name in ("last", "best"))
    every = "metrics=[fid,kid,neighbours,inception_score,fid_infinity,fid_by_step,painting]"
    command = ["eval", f"ckpt=[{last},{best}]", every, "num_images=10"]
    run(*command, f"hydra.run.dir={tmp_path / 'one'}")
    one = results(tmp_path / "one")
    assert [Path(result["checkpoint"]).name for result in one] == ["last.ckpt", "best.ckpt"]
    for result in one:
        scores = result["scores"]
        assert {"fid", "kid", "precision", "coverage", "fid_infinity"} < scores.keys()
        # The pictures of four iterations are all alike.
        assert scores["inception_score"]["mean"] == pytest.approx(1, abs=0.01)
        assert scores["fid_by_step"]["steps"] == [1, 2, 3, 4]
        assert scores["fid_by_step"]["fid"][-1] == pytest.approx(scores["fid"], rel=1e-5)
        assert sum(scores["step_shares"]) == pytest.approx(1)
        assert 1 < scores["effective_rank"] <= 4
    assert "last.ckpt" in (tmp_path / "one" / "scores.md").read_text()
    run(*command, f"hydra.run.dir={tmp_path / 'two'}")
    assert results(tmp_path / "two") == one  # to the last digit


def test_fid_beyond_the_trained_steps(tmp_path: Path) -> None:
    run("train", *SMALL, "model=lstm_delta", "num_iterations=1", f"hydra.run.dir={tmp_path}")
    ckpt = tmp_path / "checkpoints" / "last.ckpt"
    options = ["num_steps=12", "num_images=4", "metrics=[fid,fid_by_step]"]
    run("eval", f"ckpt={ckpt}", *options, f"hydra.run.dir={tmp_path}")
    (found,) = results(tmp_path)
    assert found["num_steps"] == 12
    by_step = found["scores"]["fid_by_step"]
    assert by_step["steps"] == [2, 3, 4, 6, 8, 9, 10, 12]
    assert by_step["fid"][-1] == pytest.approx(found["scores"]["fid"], rel=1e-5)
    assert by_step["fid"][2] != pytest.approx(by_step["fid"][-1], rel=1e-3)
    said = refused("eval", f"ckpt={ckpt}", "num_steps=0", "image_size=32")
    assert said == "fpainter: num_steps must be at least 1; got 0 (in num_steps or drop_steps)\n"
    said = refused("eval", f"images={tmp_path}", "num_steps=12")
    assert said == "fpainter: num_steps=12: images are painted already; leave it out\n"


def test_images_of_any_generator(finished_run: Path, tmp_path: Path) -> None:
    """The images that `generate` saves have the score of the checkpoint they come from."""
    ckpt = finished_run / "checkpoints" / "last.ckpt"
    run("eval", f"ckpt={ckpt}", f"hydra.run.dir={tmp_path / 'ckpt'}")
    run("generate", f"ckpt={ckpt}", "num_images=6", f"hydra.run.dir={tmp_path / 'painted'}")
    reals = ["data=portraits", "data.num_images=12", "image_size=16"]
    folder = tmp_path / "painted" / "images"
    run("eval", f"images={folder}", *reals, f"hydra.run.dir={tmp_path / 'images'}")
    (from_ckpt,), (from_images,) = results(tmp_path / "ckpt"), results(tmp_path / "images")
    assert from_images["scores"]["fid"] == pytest.approx(from_ckpt["scores"]["fid"], rel=1e-9)
    assert from_images["num_fake"] == 6
    assert "also needs the real images" in refused("eval", f"images={folder}")
    assert "either ckpt=PATH" in refused("eval")
    options = [f"images={folder}", *reals]
    words = refused("eval", *options, "metrics=[fid,painting,fid_by_label]")
    assert "painting, fid_by_label can only be had of a generator" in words
    assert "num_images=5.5: must be at least 1" in refused("eval", *options, "num_images=5.5")
    assert "'sharpness' is none of fid, kid" in refused("eval", *options, "metrics=sharpness")
    run("eval", f"ckpt={ckpt}", "metrics=fid_by_label", f"hydra.run.dir={tmp_path / 'classes'}")
    assert "no fid_by_label: it paints no classes" in (tmp_path / "classes/eval.log").read_text()


def test_against_other_images(finished_run: Path, tmp_path: Path) -> None:
    ckpt = finished_run / "checkpoints" / "best.ckpt"
    run(
        "eval", f"ckpt={ckpt}", f"hydra.run.dir={tmp_path}", "data=portraits", "data.num_images=9",
    )  # fmt: skip
    assert results(tmp_path)[0]["num_real"] == 9


def test_scores_of_what_is_painted_otherwise(finished_run: Path, tmp_path: Path) -> None:
    """Where steps 2 and 3 are dropped, the canvas of step 1 stays until step 4."""
    ckpt = finished_run / "checkpoints" / "last.ckpt"
    options = [f"ckpt={ckpt}", "metrics=[fid,fid_by_step]", "num_each=4"]
    run("eval", *options, "truncation=0", "drop_steps=2-3", f"hydra.run.dir={tmp_path}")
    (found,) = results(tmp_path)
    assert (found["truncation"], found["drop_steps"]) == (0, "2-3")
    by_step = found["scores"]["fid_by_step"]
    assert by_step["num_images"] == 4
    assert by_step["fid"][0] == pytest.approx(by_step["fid"][2], rel=1e-9)
    assert by_step["fid"][0] != pytest.approx(by_step["fid"][3], rel=1e-3)
    assert "| truncation |" in (tmp_path / "scores.md").read_text().replace("drop_steps | ", "")
    said = refused("eval", f"images={tmp_path}", "truncation=0.7")
    assert said == "fpainter: truncation=0.7: images are painted already; leave it out\n"


@pytest.mark.parametrize(
    ("setting", "value", "reason", "cells", "alike"),
    [
        ("fid.num_images", 5, "number of fakes", "| num_fake | fid |", ["num_images=5"]),
        ("fid.protocol", "paper", "protocol", "| what | protocol |", ["fid.protocol=paper"]),
        ("data.num_images", 9, "real images", "| 9 reals of portraits |",
         ["data=portraits", "data.num_images=9"]),
    ],
    ids=str,
)  # fmt: skip
def test_no_best_of_what_cannot_be_compared(
    setting: str, value: Any, reason: str, cells: str, alike: list[str], finished_run: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    last, other = finished_run / "checkpoints" / "last.ckpt", tmp_path / "other.ckpt"
    checkpoint = torch.load(last, weights_only=True)
    group, name = setting.split(".")
    checkpoint["fpainter"]["config"][group][name] = value
    torch.save(checkpoint, other)
    run("eval", f"ckpt=[{last},{other}]", f"hydra.run.dir={tmp_path}")
    content = json.loads((tmp_path / "scores.json").read_text())
    assert "best" not in content
    assert all(result["scores"]["fid"] > 0 for result in content["results"])
    table = (tmp_path / "scores.md").read_text()
    assert f"\nno best by FID: they differ in {reason}\n" in table
    assert cells in table
    run("eval", f"ckpt=[{last},{other}]", *alike, f"hydra.run.dir={tmp_path}")
    content = json.loads((tmp_path / "scores.json").read_text())
    assert content["best"]["iteration"] == checkpoint["iteration"]
    assert "16×16, " in (tmp_path / "scores.md").read_text()  # below the table, for all


def test_no_best_of_two_sizes(finished_run: Path, tmp_path: Path) -> None:
    """The same reals are other images at another size; that is no further reason."""
    run("train", *SMALL, "image_size=24", "num_iterations=1", f"hydra.run.dir={tmp_path}")
    paths = [f"{each}/checkpoints/last.ckpt" for each in (finished_run, tmp_path)]
    run("eval", f"ckpt=[{','.join(paths)}]", "num_images=6", f"hydra.run.dir={tmp_path / 'eval'}")
    table = (tmp_path / "eval" / "scores.md").read_text()
    assert "\nno best by FID: they differ in image size\n" in table
    assert table.startswith("| what | size |")
    assert "| 16×16 |" in table
    assert "| 24×24 |" in table
    assert "png, 12 reals of portraits\n" in table


def test_two_processes_find_what_one_finds(finished_run: Path, tmp_path: Path) -> None:
    ckpt = finished_run / "checkpoints" / "last.ckpt"
    command = [f"ckpt={ckpt}", "metrics=[fid,kid]", "num_images=11"]
    run("eval", *command, f"hydra.run.dir={tmp_path / 'one'}")
    run_together(2 * [["eval", *command, f"hydra.run.dir={tmp_path / 'two'}"]])
    (one,), (two,) = results(tmp_path / "one"), results(tmp_path / "two")
    assert two["scores"]["fid"] == pytest.approx(one["scores"]["fid"], rel=1e-6)
    assert two["scores"]["kid"]["mean"] == pytest.approx(one["scores"]["kid"]["mean"], rel=1e-5)
