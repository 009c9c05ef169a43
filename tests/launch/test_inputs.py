"""Which files are looked for before a command begins, and which may be missing."""

import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from fpainter.errors import UserError
from fpainter.launch import command


def test_a_painter_on_the_hub_is_not_looked_for_here() -> None:
    command.find_inputs(OmegaConf.create({"ckpt": "owner/name", "compare": "owner/other"}))
    with pytest.raises(UserError, match="images=owner/name: there is no such file"):
        command.find_inputs(OmegaConf.create({"images": "owner/name"}))


def test_the_newest_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPAINTER_LOGS", str(tmp_path))
    for number, name in enumerate(["a/best", "b/last", "c/previous"]):
        path = tmp_path / "train" / name.replace("/", "/checkpoints/")
        path.parent.mkdir(parents=True)
        path.with_suffix(".ckpt").touch()
        os.utime(path.with_suffix(".ckpt"), (number, number))
    cfg = OmegaConf.create({"ckpt": ["last", "best", "other.ckpt"], "compare": "best"})
    command.name_runs(cfg)
    best = str(tmp_path / "train/a/checkpoints/best.ckpt")
    killed = str(tmp_path / "train/c/checkpoints/previous.ckpt")
    assert cfg == {"ckpt": [killed, best, "other.ckpt"], "compare": best}
    monkeypatch.setenv("FPAINTER_LOGS", str(tmp_path / "empty"))
    with pytest.raises(UserError, match=r"ckpt=last: no run below .*empty"):
        command.name_runs(OmegaConf.create({"ckpt": "last"}))


@pytest.mark.parametrize("section", ["warm_start", "data"])
def test_a_run_that_goes_on_by_itself_may_have_lost_them(
    section: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = {
        "warm_start": {"ckpt": "/nowhere"},
        "data": {"_target_": "ImageDataModule.from_folder", "dir": "/nowhere", "hint": None},
    }
    cfg = OmegaConf.create({"ckpt": None, "auto_resume": True, section: sections[section]})
    monkeypatch.setattr(command, "in_sweep", lambda: False)
    command.find_inputs(cfg)
    cfg.auto_resume = False
    with pytest.raises(UserError, match="/nowhere"):
        command.find_inputs(cfg)
    monkeypatch.setattr(command, "in_sweep", lambda: True)
    command.find_inputs(cfg)
