"""When a run is scored, what it says meanwhile, and a score that is given up and made up."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningDataModule, Trainer
from torch.utils.data import DataLoader

from fpainter.callbacks import fid
from fpainter.callbacks.fid import FIDCallback
from fpainter.evaluation import features
from tests.callbacks.test_checkpoints import pytestmark as pytestmark
from tests.cli.conftest import run
from tests.cli.test_kills import SCORED, TINY, contents, differences
from tests.evaluation.toys import TinyExtractor, ToyImages
from tests.training.test_gan_module import batches
from tests.training.toys import gan


def install(monkeypatch: pytest.MonkeyPatch, extractor: TinyExtractor) -> TinyExtractor:
    """Let an extractor take the place of Inception."""
    monkeypatch.setattr(features, "load_inception", lambda *_: extractor)
    return extractor


class Toys(LightningDataModule):
    images = ToyImages()
    image_size = (16, 16)

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(batches(4), batch_size=None)  # type: ignore[arg-type]


def test_statistics_are_made_when_the_first_score_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = install(monkeypatch, TinyExtractor())
    calls = []

    class Watch(Callback):
        def on_train_batch_end(self, *args: Any) -> None:
            calls.append(extractor.calls)

    score = FIDCallback(num_images=6, every=2, cache_dir=tmp_path)
    trainer = Trainer(
        accelerator="cpu", max_steps=2, callbacks=[score, Watch()], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(gan(), Toys())
    assert calls == [0, 4]  # 40 reals in three calls, then the painted ones
    assert trainer.callback_metrics["fid"] > 0


def test_a_log_is_told_how_far_a_score_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch, TinyExtractor())
    run("train", *TINY, *SCORED, "num_iterations=1", "fid.batch_size=4", "fid.metrics=[fid,kid]",
        "fid.num_images=12", "+callbacks.bar.seconds_between_lines=0", f"hydra.run.dir={tmp_path}",
        f"fid.cache_dir={tmp_path}")  # fmt: skip
    lines = capsys.readouterr().out
    assert "features of the reals: 8 of 12 images, " in lines
    assert "FID: 4 of 12 images, " in lines
    assert " a second, 0:00:00 left" in lines


class Stopped(TinyExtractor):
    """Tells the run to stop in its n-th call."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.calls + 1 == self.at:
            signal.raise_signal(signal.SIGTERM)
        return super().forward(images)

    def told(self) -> bool:
        return self.calls >= self.at


@pytest.mark.parametrize(
    ("at", "what"), [(2, "statistics"), (8, "a score"), (11, "the last score")], ids=str
)
def test_a_stopped_run_makes_up_the_score_it_gave_up(
    at: int, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(directory: str, *options: object) -> None:
        cache = f"fid.cache_dir={tmp_path / directory}"
        run("train", *options, cache, f"hydra.run.dir={tmp_path / directory}")

    options = [*TINY, *SCORED, "num_iterations=4", "fid.batch_size=2"]
    install(monkeypatch, TinyExtractor())
    train("whole", *options)
    with monkeypatch.context() as patch:
        extractor = Stopped(at)
        install(patch, extractor)
        patch.setattr(fid, "stop_requested", extractor.told)
        with pytest.raises(SystemExit) as stopped:
            train("parts", *options)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert extractor.calls == at
    train("parts", "ckpt=last")
    assert not differences(contents(tmp_path / "whole"), contents(tmp_path / "parts"))
