"""What is reported, and under which iteration."""

from pathlib import Path

import pytest
from lightning import Trainer

from fpainter.callbacks.metrics import MetricsReport
from fpainter.loggers.metrics_file import MetricsFile
from fpainter.pictures.curves import read_metrics
from tests.training.test_gan_module import Watch, batches
from tests.training.toys import gan

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),
]


def test_half_a_last_line_is_dropped(tmp_path: Path) -> None:
    """A disk that was full has left the 1 of 12, which is another iteration's."""
    metrics = MetricsFile(tmp_path)
    for iteration in (1, 12):
        metrics.log_metrics({"loss": 0.5 * iteration}, iteration)
    whole = metrics.path.read_text()
    metrics.path.write_text(whole[: whole.rindex("2,")])
    MetricsFile(tmp_path).resume(12)
    assert metrics.path.read_text().splitlines() == ["iteration,loss", "1,0.5"]


def test_reports_are_means_since_the_last(tmp_path: Path) -> None:
    """The penalty falls on iterations 1, 3, 5 and reports on 2, 4, 6."""
    watch = Watch()
    trainer = Trainer(
        accelerator="cpu",
        max_steps=6,
        log_every_n_steps=2,
        logger=MetricsFile(tmp_path),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[watch, MetricsReport()],
    )
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
