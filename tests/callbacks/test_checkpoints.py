"""Which states of a run are kept."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from fpainter.callbacks.checkpoints import RunCheckpoints
from fpainter.training.gan_module import GANModule
from tests.training.test_gan_module import fit
from tests.training.toys import gan

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),
]


class Scores(Callback):
    """Pretends to score after each iteration; may stop the run like a signal or an error."""

    def __init__(self, scores: list[float], stop: BaseException | None = None) -> None:
        self.scores = iter(scores)
        self.stop = stop

    def on_train_batch_end(self, trainer: Trainer, module: GANModule, *args: Any) -> None:  # type: ignore[override]
        score = next(self.scores, None)
        if score is not None:
            trainer.callback_metrics["fid"] = torch.tensor(score)
        elif self.stop is not None:
            raise self.stop


def iteration(path: Path) -> int:
    return torch.load(path, weights_only=True)["iteration"]


def test_best_and_last(tmp_path: Path) -> None:
    callback = RunCheckpoints(tmp_path, every=100)
    # A score stays among the trainer's metrics until the next: it is not another record.
    fit(gan(), 5, tmp_path, Scores([5.0, 3.0, 3.0, 4.0]), callback)
    assert iteration(tmp_path / "best.ckpt") == 2
    assert iteration(tmp_path / "last.ckpt") == 5
    assert callback.best_score == 3.0
    assert sorted(path.stem for path in tmp_path.glob("*")) == ["best", "last", "previous"]


def test_the_last_state_before_is_kept(tmp_path: Path) -> None:
    fit(gan(), 5, tmp_path, RunCheckpoints(tmp_path, every=2))
    assert (iteration(tmp_path / "last.ckpt"), iteration(tmp_path / "previous.ckpt")) == (5, 4)


def test_the_last_iteration_is_saved_with_its_scores_and_pictures(tmp_path: Path) -> None:
    seen: list[int] = []

    class Draw(Callback):
        def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
            seen.append(iteration(tmp_path / "last.ckpt"))

    fit(gan(), 6, tmp_path, Draw(), RunCheckpoints(tmp_path, every=100))
    assert seen == [5]
    assert iteration(tmp_path / "last.ckpt") == 6


@pytest.mark.parametrize("by", ["budget", "time"])
def test_a_run_that_ends_early_is_saved_before_its_scores(by: str, tmp_path: Path) -> None:
    seen: list[int] = []

    class End(Callback):
        def on_train_batch_end(self, trainer: Trainer, module: GANModule, *args: Any) -> None:  # type: ignore[override]
            if module.iteration == 3:
                trainer.should_stop = by == "time"
                trainer.fit_loop.epoch_loop.max_steps = 3 if by == "budget" else 6

        def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
            seen.append(iteration(tmp_path / "last.ckpt"))

    fit(gan(), 6, tmp_path, End(), RunCheckpoints(tmp_path, every=100))
    assert seen == [3]
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert state["callbacks"]["RunCheckpoints"]["ended"]


def test_states_that_stay(tmp_path: Path) -> None:
    fit(gan(), 5, tmp_path, RunCheckpoints(tmp_path, every=100, keep_every=2))
    assert sorted(path.name for path in tmp_path.glob("0*")) == ["0000002.ckpt", "0000004.ckpt"]
    assert iteration(tmp_path / "0000004.ckpt") == 4
    with pytest.raises(ValueError, match=r"checkpoints\.keep_every must be at least 1; got 0"):
        RunCheckpoints(tmp_path, every=1, keep_every=0)


def test_the_best_score_survives_resuming(tmp_path: Path) -> None:
    fit(gan(), 2, tmp_path, Scores([5.0, 3.0]), RunCheckpoints(tmp_path, every=100))
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"]
    again = RunCheckpoints(tmp_path, every=100)
    again.load_state_dict(state["RunCheckpoints"])
    fit(gan(), 1, tmp_path, Scores([4.0]), again)
    assert iteration(tmp_path / "best.ckpt") == 2


def test_a_best_score_of_another_protocol_is_forgotten(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "best.ckpt").touch()
    state = {"best_score": 3.0, "protocol": "png"}
    same, other = (RunCheckpoints(tmp_path, 1, protocol=name) for name in ("png", "paper"))
    same.load_state_dict(state)
    assert not caplog.records
    other.load_state_dict(state)
    assert (same.best_score, other.best_score) == (3.0, float("inf"))
    assert "best by the protocol png with None fakes" in caplog.text
    fewer = RunCheckpoints(tmp_path, 1, protocol="png", num_images=100)
    fewer.load_state_dict({**state, "num_images": 1000})
    assert fewer.best_score == float("inf")
    assert "png with 1000 fakes; it will be replaced" in caplog.text


def test_a_best_score_without_its_file_is_forgotten(tmp_path: Path) -> None:
    elsewhere = RunCheckpoints(tmp_path, every=100)
    elsewhere.load_state_dict({"best_score": 3.0})
    fit(gan(), 1, tmp_path, Scores([4.0]), elsewhere)
    assert iteration(tmp_path / "best.ckpt") == 1


@pytest.mark.parametrize(
    ("stop", "kept"),
    [(SIGTERMException(), 3), (SystemExit(1), 2), (RuntimeError("broken"), 2)],
)
def test_a_signal_saves_and_an_error_does_not(
    stop: BaseException, kept: int, tmp_path: Path
) -> None:
    with pytest.raises(type(stop)):
        fit(gan(), 9, tmp_path, Scores([5.0, 5.0], stop), RunCheckpoints(tmp_path, every=2))
    assert iteration(tmp_path / "last.ckpt") == kept


def test_every_is_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="checkpoint_every must be at least 1"):
        RunCheckpoints(tmp_path, every=0)
