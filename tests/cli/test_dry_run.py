"""``dry_run=true``: what a training will need, and nothing left of it."""

import re
from pathlib import Path

import pytest

from fpainter.errors import UserError
from fpainter.evaluation.inception import network
from tests.callbacks.test_fid import TinyExtractor, install
from tests.cli.conftest import SMALL, refused, run
from tests.cli.test_commands import pytestmark as lightning_warnings

pytestmark = lightning_warnings


def said_by(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    run("train", *SMALL, "image_size=8", "dry_run=true", "num_iterations=1000", *arguments)
    return capsys.readouterr().out


def test_it_says_what_a_run_needs_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch, TinyExtractor())
    words = said_by(
        capsys, "fid.enabled=true", "fid.every=300", "fid.num_images=6",
        f"fid.cache_dir={tmp_path}", "model/regulariser=r1", "model.regulariser.every=4",
        f"hydra.run.dir={tmp_path / 'a' / 'run'}",
    )  # fmt: skip
    assert "parameters: generator 0.0" in words
    kinds = re.search(r"([\d.e-]+) s per iteration \((\S+) s for 75%, (\S+) s for 25%\)", words)
    assert kinds is not None
    mean, plain, penalised = map(float, kinds.groups())
    assert mean == pytest.approx(0.75 * plain + 0.25 * penalised, rel=0.02)
    assert "scores: 4 of 6 fakes" in words
    assert re.search(r"time: .*iterations .*, scores .*ends at \w+ \d+ \w+ \d\d:\d\d", words)
    assert re.search(r"disk: .*image cache .*, checkpoints .*, pictures", words)
    assert "statistics of the reals" in words
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("real_network")
def test_without_weights_scores_are_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(path: object = None) -> None:
        raise UserError("none were found")

    monkeypatch.setattr(network, "find_weights", none)
    words = said_by(capsys, "fid.enabled=true", f"hydra.run.dir={tmp_path / 'run'}")
    assert "scores: how long they take is not known: none were found" in words
    assert not list(tmp_path.iterdir())


def test_an_earlier_run_stays_as_it_was(finished_run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished_run.rglob("*") if path.is_file()}
    texts = {path: path.read_bytes() for path in before}
    run("train", "ckpt=last", "num_iterations=10", "dry_run=true", "fid=off",
        f"hydra.run.dir={finished_run}")  # fmt: skip
    assert {p: p.read_bytes() for p in finished_run.rglob("*") if p.is_file()} == texts


def test_each_stage_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stages = "stages=[{until:400},{until:1000,image_size:16}]"
    words = said_by(capsys, stages, "fid=off", f"hydra.run.dir={tmp_path / 'run'}")
    assert "stage 1 of 2: 8×8, iterations 0 to 400" in words
    assert words.count("s per iteration") == 2
    assert words.count("time: ") == 1


def test_what_a_run_would_be_refused_for(tmp_path: Path) -> None:
    where = f"hydra.run.dir={tmp_path / 'run'}"
    words = refused("train", *SMALL, "stage=unet", "dry_run=true", where)
    assert "a part of the generator is frozen" in words
    shared = ("batch_size=4", "trainer=ddp", "trainer.devices=3")
    words = refused("train", *SMALL, *shared, "dry_run=true", where)
    assert "cannot be shared equally by 3" in words


def test_a_run_that_would_go_on_has_less_left(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = refused("train", *SMALL, "dry_run=true", f"hydra.run.dir={finished_run}")
    assert "auto_resume=true goes on with it" in words
    run("train", "ckpt=last", "dry_run=true", f"hydra.run.dir={finished_run}", "num_iterations=3")
    begun = capsys.readouterr().out
    assert "time: " in begun
