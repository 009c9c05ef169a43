"""Sweeps: each job goes on by itself, failures stay with their job, the table tells it all."""

import importlib.util
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from fpainter.callbacks.curves import LearningCurves
from fpainter.errors import UserError
from fpainter.launch import continuation, sweeps
from fpainter.launch.continuation import EarlierStart, earlier_start
from fpainter.training.gan_module import GANModule
from tests.cli.conftest import SMALL, refused, run
from tests.cli.test_commands import pytestmark as lightning_warnings
from tests.cli.test_commands import rows

pytestmark = lightning_warnings
MINUTES = "callbacks.budget.stop_after_cpu_minutes"
SWEEP = ["-m", *SMALL, "num_iterations=3", "callbacks.samples.every=0", "callbacks.strips.every=0"]


def table(directory: Path) -> list[list[str]]:
    lines = (directory / "results.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [cells[0], *cells[2:]]


def weights(job: Path) -> dict[str, torch.Tensor]:
    return torch.load(job / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def failing(*arguments: str) -> str:
    """Run a sweep with a job that fails; return the last line, those before are Hydra's."""
    with pytest.raises(SystemExit) as stopped:
        run(*arguments)
    message = str(stopped.value.code).splitlines()[-1]
    assert message.startswith("fpainter: ")
    return message


def interrupting(monkeypatch: pytest.MonkeyPatch, seed: int, number: int) -> None:
    """Send a signal in the second iteration of the job with a seed."""
    step = GANModule.training_step

    def interrupted(module: GANModule, batch: torch.Tensor, batch_idx: int) -> None:
        step(module, batch, batch_idx)
        if module.iteration == 2 and module.trainer.datamodule.seed == seed:  # type: ignore[attr-defined]
            signal.raise_signal(number)

    monkeypatch.setattr(GANModule, "training_step", interrupted)


def test_a_sweep_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run("train", *SWEEP, "seed=0,1,2", f"hydra.sweep.dir={whole}")
    with monkeypatch.context() as patch:
        interrupting(patch, 1, signal.SIGTERM)
        with pytest.raises(SystemExit):
            run("train", *SWEEP, "seed=0,1,2", f"hydra.sweep.dir={parts}")
    start = earlier_start(parts / "1")
    assert start is not None
    assert start.iteration == 2
    finished = (parts / "0" / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    run("train", *SWEEP, "seed=0,1,2", f"hydra.sweep.dir={parts}")
    assert (parts / "0" / "checkpoints" / "last.ckpt").stat().st_mtime_ns == finished
    assert table(parts) == table(whole)
    assert [row[3:] for row in table(parts)[1:]] == 3 * [["3 of 3", "finished"]]
    assert (parts / "report.html").is_file()
    for job in "012":
        assert [row["iteration"] for row in rows(parts / job)] == ["1", "2", "3"]
        states = weights(whole / job), weights(parts / job)
        assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def test_more_iterations_go_on_and_other_settings_are_refused(tmp_path: Path) -> None:
    directory = f"hydra.sweep.dir={tmp_path}"
    run("train", *SWEEP, "seed=0,1", directory)
    run("train", *SWEEP, "seed=0,1", "num_iterations=4", directory)
    assert [row[3] for row in table(tmp_path)[1:]] == ["4 of 4", "4 of 4"]
    message = failing("train", *SWEEP, "seed=0,3", directory)
    assert f"{tmp_path}/1 holds a run with other settings" in message
    assert "data.seed is 1 there and 3 here" in message
    assert table(tmp_path)[2][4].startswith("failed: ")


@pytest.mark.parametrize(
    ("budget", "more"),
    [
        ("trainer.max_time=00:00:00:01", "trainer.max_time=00:01:00:00"),
        (f"{MINUTES}=0.001", f"{MINUTES}=60"),
    ],
    ids=["time", "cpu"],
)
def test_a_job_whose_budget_is_spent_is_finished(budget: str, more: str, tmp_path: Path) -> None:
    sweep = [*SWEEP, "seed=0", f"hydra.sweep.dir={tmp_path}"]
    last = tmp_path / "0" / "checkpoints" / "last.ckpt"
    run("train", *sweep, "num_iterations=100_000", budget)
    assert table(tmp_path)[1][-1] == f"finished: ended by {budget}"
    written = last.stat().st_mtime_ns
    run("train", *sweep, "num_iterations=100_000", budget)
    assert last.stat().st_mtime_ns == written
    done = earlier_start(tmp_path / "0")
    assert done is not None
    planned = done.iteration + 1
    run("train", *sweep, f"num_iterations={planned}", more)
    assert table(tmp_path)[1][-2:] == [f"{planned} of {planned}", "finished"]


@pytest.mark.parametrize(
    ("ended", "planned", "minutes", "finished"),
    [
        (True, 9, 1, f"finished: ended by {MINUTES}=1"),
        (False, 9, 1, None),  # killed
        (True, 5, 1, None),  # it had no more to do, and has now
        (True, 9, 2, None),
        (True, 9, None, None),
    ],
)
def test_when_an_early_end_is_one(
    ended: bool, planned: int, minutes: int | None, finished: str | None
) -> None:
    def config(iterations: int, minutes: int | None) -> dict[str, Any]:
        budget = {"budget": {"stop_after_cpu_minutes": minutes}}
        trainer = {"max_time": None, "max_steps": iterations}
        return {"num_iterations": iterations, "trainer": trainer, "callbacks": budget}

    start = EarlierStart(Path(), 5, None, config(planned, 1), ended)
    assert start.finished(OmegaConf.create(config(9, minutes))) == finished
    assert start.finished(OmegaConf.create(config(5, minutes))) == "finished"


def test_a_job_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    message = failing("train", *SWEEP, "batch_size=4,0,2", f"hydra.sweep.dir={tmp_path}")
    assert "batch_size must be" in message
    found = {row[1]: row[4] for row in table(tmp_path)[1:]}
    assert (found["4"], found["2"]) == ("finished", "finished")
    assert found["0"].startswith("failed: batch_size must be")


def test_the_paper_s_sweep_of_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = [option for option in SWEEP[1:] if "num_steps" not in option]
    monkeypatch.setenv("FPAINTER_LOGS", str(tmp_path))
    run("train", "+sweep=painting_steps", *small, "num_iterations=1")
    (directory,) = (tmp_path / "sweeps").iterdir()
    head, *body = table(directory)
    steps = [row[head.index("model.generator.num_steps")] for row in body]
    assert steps == ["64", "32", "16", "8"]
    assert {row[-1] for row in body} == {"finished"}
    # A job is no sweep when it is taken up by hand.
    run("train", f"ckpt={directory / '0' / 'checkpoints' / 'last.ckpt'}", "num_iterations=2")
    assert earlier_start(directory / "0").iteration == 2  # type: ignore[union-attr]


def test_jobs_of_equal_size_are_recorded_with_their_numbers(tmp_path: Path) -> None:
    equal = [
        "model/learning_rule=delta,coupled", "model.generator.d_hidden=${equal_parameters:16}",
        "model.generator.num_steps=${equal_numbers:4}",
    ]  # fmt: skip
    run("train", *SWEEP, *equal, "num_iterations=1", f"hydra.sweep.dir={tmp_path}")
    parts = [OmegaConf.load(tmp_path / job / "config.yaml").model.generator for job in "01"]
    assert [part.num_steps for part in parts] == [4, 11]  # 4 * 99 / 36
    assert parts[0].d_hidden == 16 < parts[1].d_hidden == parts[1].head.d_hidden
    assert [row[-1] for row in table(tmp_path)[1:]] == ["finished", "finished"]


def test_a_run_goes_on_by_itself_when_asked_to(tmp_path: Path) -> None:
    again = [*SMALL, "auto_resume=true", f"hydra.run.dir={tmp_path}"]
    for num in (1, 3):
        run("train", *again, f"num_iterations={num}")
    assert [row["iteration"] for row in rows(tmp_path)] == ["1", "2", "3"]
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(b"torn")
    run("train", *again, "num_iterations=4")
    assert [row["iteration"] for row in rows(tmp_path)] == ["1", "2", "3", "4"]
    # Without being asked it begins no other run in its place.
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    words = refused("train", *SMALL, "seed=5", f"hydra.run.dir={tmp_path}")
    assert f"{tmp_path} holds a run of 4 iterations, which a new one would replace" in words
    other = shutil.copy(tmp_path / "checkpoints" / "last.ckpt", tmp_path / "other.ckpt")
    words = refused("train", f"ckpt={other}", "num_iterations=9", f"hydra.run.dir={tmp_path}")
    assert "holds a run of 4 iterations" in words
    assert {path: path.read_bytes() for path in before} == before


def test_a_run_killed_before_its_end_is_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = [*SMALL, "auto_resume=true", f"hydra.run.dir={tmp_path}"]

    def kill(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(LearningCurves, "on_train_end", kill)
        with pytest.raises(RuntimeError, match="killed"):
            run("train", *again)
    assert earlier_start(tmp_path).iteration == 1  # type: ignore[union-attr]
    run("train", *again)
    assert (tmp_path / "curves.png").is_file()


FOLDER = {"_target_": "fpainter.data.datamodule.ImageDataModule.from_folder", "dir": "x"}


@pytest.mark.parametrize(
    ("there", "here", "difference"),
    [
        ({"seed": 1}, {"seed": 2}, "seed is 1 there and 2 here"),
        ({"model": {}}, {"model": {"clip": 1}}, "model.clip is None there and 1 here"),
        ({"data": {"cache_dir": "a"}}, {"data": {"cache_dir": "b"}}, None),
        ({"num_iterations": 1}, {"num_iterations": 2}, None),
        # A run from before there were crops and parts of data has those that it used.
        ({"data": FOLDER}, {"data": {**FOLDER, "crop": "centre", "held_out": 0.0}}, None),
        ({"data": FOLDER}, {"data": {**FOLDER, "crop": "pad"}}, "data.crop is centre there"),
    ],
)
def test_what_makes_two_runs_the_same(
    there: dict[str, Any],
    here: dict[str, Any],
    difference: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = EarlierStart(Path("last.ckpt"), 1, None, there)
    monkeypatch.setattr(continuation, "earlier_start", lambda _: start)
    if difference is None:
        assert continuation.same_run(Path("run"), here) is start
        return
    with pytest.raises(UserError, match=f"run holds a run with other settings: {difference}"):
        continuation.same_run(Path("run"), here)


def test_the_table_of_jobs_of_all_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = {
        "0": EarlierStart(Path(), 2, 1.5, {}),
        "1": EarlierStart(Path(), 1, None, {}),
        "2": None,
    }
    for job in starts:
        (tmp_path / job / ".hydra").mkdir(parents=True)
        (tmp_path / job / ".hydra" / "config.yaml").write_text("num_iterations: 2")
        (tmp_path / job / ".hydra" / "overrides.yaml").write_text(f"[+a=x|{job}, b=1]")
    monkeypatch.setattr(sweeps, "earlier_start", lambda directory: starts[directory.name])
    monkeypatch.setattr(sweeps, "in_sweep", lambda: True)
    here = {"runtime": {"output_dir": str(tmp_path / "2")}, "sweep": {"dir": str(tmp_path)}}
    config = OmegaConf.create({"hydra": {**here, "job": {"num": 2}}})
    ends = {r"failed: no\|luck": JobStatus.FAILED, "not finished": JobStatus.COMPLETED}
    for status, end in ends.items():  # the second start does not fail
        result = JobReturn(status=end, _return_value=ValueError("no|luck"))
        sweeps.SweepTable().on_job_end(config, result)
        assert (tmp_path / "results.md").read_text().splitlines() == [
            "| job | a | best FID | iterations | status |",
            "| --- | --- | --- | --- | --- |",
            r"| 0 | x\|0 | 1.50 | 2 of 2 | finished |",
            r"| 1 | x\|1 |  | 1 of 2 | not finished |",
            rf"| 2 | x\|2 |  | 0 of 2 | {status} |",
        ]


PLUGINS = {
    "hydra/launcher=parallel": ("hydra_joblib_launcher", "sweep"),
    "hydra/launcher=joblib": ("hydra_joblib_launcher", "sweep"),
    "hydra/launcher=slurm_local": ("hydra_submitit_launcher", "slurm"),
    "hydra/launcher=slurm": ("hydra_submitit_launcher", "slurm"),
    "hydra/sweeper=best_fid": ("hydra_optuna_sweeper", "sweep"),
}


def installed(plugin: str) -> bool:
    if importlib.util.find_spec("hydra_plugins") is None:
        return False
    return importlib.util.find_spec(f"hydra_plugins.{plugin}") is not None


NEEDS_OPTUNA = pytest.mark.skipif(
    not installed("hydra_optuna_sweeper"), reason="needs the extra sweep"
)


@pytest.mark.parametrize("option", PLUGINS)
def test_a_missing_plugin_is_named(option: str, tmp_path: Path) -> None:
    plugin, extra = PLUGINS[option]
    if installed(plugin):
        pytest.skip("it is there")
    message = refused("train", "-m", option, "seed=0,1", f"hydra.sweep.dir={tmp_path}")
    assert f"pip install 'fpainter[{extra}]'" in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("option", ["hydra/launcher=parallel", "hydra/launcher=slurm_local"])
def test_launchers(option: str, tmp_path: Path) -> None:
    if not installed(PLUGINS[option][0]):
        pytest.skip("needs an extra")
    run("train", *SWEEP, option, "seed=0,1", f"hydra.sweep.dir={tmp_path}")
    assert [row[1:] for row in table(tmp_path)[1:]] == [
        ["0", "", "3 of 3", "finished"],
        ["1", "", "3 of 3", "finished"],
    ]


@NEEDS_OPTUNA
@pytest.mark.filterwarnings("ignore")  # of Optuna's about its own dependencies
def test_optuna_minimises_the_fid_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(self: Any, trainer: Any, module: GANModule) -> None:
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        trainer.callback_metrics["fid"] = torch.tensor(abs(rate - 1e-3))

    monkeypatch.setattr("fpainter.callbacks.fid.FIDCallback.on_train_end", score)
    options = [
        *SWEEP, "hydra/sweeper=best_fid", "model.generator_optimiser.lr=interval(1e-4,2e-3)",
        f"hydra.sweep.dir={tmp_path}",
    ]  # fmt: skip
    run("train", *options, "hydra.sweeper.n_trials=2")
    first = table(tmp_path)
    run("train", *options, "hydra.sweeper.n_trials=3")
    assert table(tmp_path)[:3] == first
    found = OmegaConf.load(tmp_path / "optimization_results.yaml")
    rates = [float(row[1]) for row in table(tmp_path)[1:]]
    best = min(rates, key=lambda rate: abs(rate - 1e-3))
    assert found.best_params["model.generator_optimiser.lr"] == best


@NEEDS_OPTUNA
@pytest.mark.filterwarnings("ignore")  # of Optuna's about its own dependencies
def test_optuna_needs_scores(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No trials are completed yet"):
        run(
            "train", *SWEEP, "hydra/sweeper=best_fid", "seed=range(0,9)",
            "hydra.sweeper.n_trials=1", f"hydra.sweep.dir={tmp_path}",
        )  # fmt: skip
    assert "this run has no FID" in table(tmp_path)[1][-1]
