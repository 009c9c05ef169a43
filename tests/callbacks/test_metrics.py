"""What is reported, and under which iteration."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from fpainter.callbacks.metrics import IterationBar, MetricsReport
from fpainter.loggers.metrics_file import MetricsFile
from fpainter.pictures.curves import read_metrics, scored_by
from tests.training.test_gan_module import Watch, batches
from tests.training.toys import gan

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),
]


def reporting(path: Path, num: int, every: int, *callbacks: Callback, **options: Any) -> Trainer:
    """Build a trainer of `num` iterations that reports to metrics.csv, and does little else."""
    return Trainer(
        accelerator="cpu",
        max_steps=num,
        log_every_n_steps=every,
        logger=MetricsFile(path),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
        **options,
    )


def test_half_a_last_line_is_dropped(tmp_path: Path) -> None:
    """A disk that was full has left the 1 of 12, which is another iteration's."""
    metrics = MetricsFile(tmp_path)
    for iteration in (1, 12):
        metrics.log_metrics({"loss": 0.5 * iteration}, iteration)
    whole = metrics.path.read_text()
    metrics.path.write_text(whole[: whole.rindex("2,")])
    MetricsFile(tmp_path).resume(12)
    assert metrics.path.read_text().splitlines() == ["iteration,loss", "1,0.5"]


def test_a_resumed_file_without_settings_of_scores_goes_on(tmp_path: Path) -> None:
    """Its rows are those of a version that did not say how it scored."""
    old = MetricsFile(tmp_path)
    old.log_metrics({"fid": 40.0}, 1)
    old.log_metrics({"loss": 0.5}, 2)
    metrics = MetricsFile(tmp_path)
    metrics.resume(1)
    metrics.log_metrics({"loss": 0.25}, 2)
    metrics.log_metrics({"fid": 30.5}, 2, "png, 9 fakes, 8×8")
    metrics.log_metrics({"fid": 20.5}, 3, "paper, 9 fakes, 8×8")
    assert metrics.path.read_text().splitlines() == [
        "iteration,fid,loss,scored_by", "1,40,,", '2,30.5,0.25,"png, 9 fakes, 8×8"',
        '3,20.5,,"paper, 9 fakes, 8×8"',
    ]  # fmt: skip
    assert read_metrics(metrics.path)["fid"] == [(1, 40), (3, 20.5)]
    assert scored_by(metrics.path) == "paper, 9 fakes, 8×8"


def test_reports_are_means_since_the_last(tmp_path: Path) -> None:
    """The penalty falls on iterations 1, 3, 5 and reports on 2, 4, 6."""
    watch = Watch()
    trainer = reporting(tmp_path, 6, 2, watch, MetricsReport())
    trainer.fit(gan(), iter(batches(6)))
    series = read_metrics(tmp_path / "metrics.csv")
    assert [iteration for iteration, _ in series["penalty"]] == [2, 4, 6]
    for place, (iteration, value) in enumerate(series["penalty"]):
        assert iteration == 2 * place + 2
        assert value == pytest.approx(watch.metrics[2 * place]["penalty"], rel=1e-4)
    for name in ("loss/discriminator", "loss/generator", "logit/real"):
        for place, (_, value) in enumerate(series[name]):
            pair = [row[name] for row in watch.metrics[2 * place : 2 * place + 2]]
            assert value == pytest.approx(sum(pair) / 2, rel=1e-4), name


def test_half_precision_values_are_added_up_in_float32(tmp_path: Path) -> None:
    """The sum of sixty values in bfloat16 has two digits."""
    watch = Watch()
    trainer = reporting(tmp_path, 60, 60, watch, MetricsReport(), precision="bf16-mixed")
    module = gan(regulariser=None)
    trainer.fit(module, iter(batches(60)))
    assert module.metrics["logit/real"].dtype == torch.bfloat16
    for name, [(_, value)] in read_metrics(tmp_path / "metrics.csv").items():
        if name != "seconds":
            mean = sum(row[name] for row in watch.metrics) / 60
            assert value == pytest.approx(mean, rel=1e-4, abs=1e-6), name


class Slow(Callback):
    """Takes a second to score or draw."""

    def on_train_batch_end(self, *args: Any) -> None:
        time.sleep(1.0)


def test_seconds_are_those_of_fetching_copying_and_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetched() -> Iterator[Tensor]:
        for batch in batches(3):  # Lightning is one ahead
            time.sleep(0.1)
            yield batch

    def copied(batch: Tensor, *args: Any) -> Tensor:
        time.sleep(0.1)
        return batch

    module = gan()
    monkeypatch.setattr(module, "transfer_batch_to_device", copied)
    trainer = reporting(tmp_path, 2, 1, MetricsReport(), Slow())
    trainer.fit(module, fetched())
    (_, first), (_, second) = read_metrics(tmp_path / "metrics.csv")["seconds"]
    assert 0.2 < first < 1.0
    assert 0.2 < second < 1.0


class Awaited(Callback):
    """A score after every eighth iteration, whose preparation, once, takes longer than the run."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(trainer.progress_bar_callback, IterationBar)
        trainer.progress_bar_callback.scores_every = 8

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        assert isinstance(trainer.progress_bar_callback, IterationBar)
        if trainer.global_step == 8:
            time.sleep(2.0)
            trainer.progress_bar_callback.scored(seconds=500.0, once=2.0 - 500.0)


def test_a_log_is_told_how_fast_iterations_are_and_how_long_they_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Scores are left as often as they are due, each as long as the last."""
    trainer = Trainer(
        accelerator="cpu", max_steps=20, logger=False, enable_checkpointing=False,
        enable_model_summary=False, callbacks=[IterationBar(0.0), Awaited()],
    )  # fmt: skip
    trainer.fit(gan(), iter(batches(21)))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "iteration 1/20"
    last = r"iteration {}/20, [\d.e+]+ images a second, 0:(\d\d):(\d\d) left{}"
    assert re.fullmatch(last.format(2, " without scores"), lines[1])
    for iteration, due in ((9, 2), (15, 2), (16, 1), (19, 1)):  # after 16, and at the end
        found = re.fullmatch(last.format(iteration, ""), lines[iteration - 1])
        assert found is not None
        left = 60 * int(found[1]) + int(found[2])
        assert due * 500 <= left < due * 500 + 20
    assert lines[-1].endswith(", 0:08:20 left")
