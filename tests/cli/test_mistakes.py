"""What a newcomer mistypes or leaves out is answered with a sentence, and costs no run."""

from pathlib import Path

import pytest

from tests.cli.conftest import SMALL, refused, run
from tests.cli.test_commands import pytestmark as lightning_warnings
from tests.cli.test_commands import rows

pytestmark = lightning_warnings


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("model.generator.num_steps=0", "num_steps must be at least 1"),
        ("model.generator_optimiser.lr=-1", "at least 0, got -1"),
        ("model.generator_optimiser.lr=fast", "got 'fast'"),
        ("model.generator_optimiser.lr_of=3", "lr_of: give the parts, such as"),
        ("model.discriminator_optimiser.lr_of={refiner:1}", "no trained part 'refiner' (in model."),
        ("+model.discriminator_optimiser.foo=1", "'foo' (in model.discriminator_optimiser)"),
        ("model.clip=0.1", "clip: give the parts, such as"),
        ("model.clip={generator:-1}", "the limit of generator must be a number above 0; got -1"),
        ("model.accumulate=2.0", "accumulate must be at least 1, a whole number; got 2.0"),
        ("model.auxiliary_weight=-1", "auxiliary_weight must be a number of 0 or more; got -1"),
        ("model.regulariser.weight=-1", "weight must be a number of 0 or more; got -1"),
        ("num_iterations=-1", "num_iterations=-1: must be at least 1, a whole number"),
        ("checkpoint_every=1.5", "checkpoint_every must be at least 1, a whole number; got 1.5"),
        ("trainer.max_time=5", "give days:hours:minutes:seconds"),
        ("trainer.precision=fast", "must be auto, bf16-mixed, 32-true or 64-true"),
        ("model/regulariser=null", "r1, r1_r2, unit_gradient; model.regulariser=null leaves"),
        ("fid=null", "fid=null: choose one of its options: clean, off, paper"),
    ],
)
def test_impossible_settings(argument: str, words: str, tmp_path: Path) -> None:
    assert words in refused("train", *SMALL, argument, f"hydra.run.dir={tmp_path / 'run'}")
    assert not (tmp_path / "run").exists()


def test_a_run_says_that_its_time_is_over_and_that_nothing_is_left(tmp_path: Path) -> None:
    options = [*SMALL, f"hydra.run.dir={tmp_path}", "trainer.max_time=00:00:00:01"]
    run("train", *options, "num_iterations=100_000")
    log = (tmp_path / "train.log").read_text()
    assert "trainer.max_time=00:00:00:01 is over; with a longer one the run goes on" in log
    config = (tmp_path / "config.yaml").read_text()
    run("train", "ckpt=last", f"hydra.run.dir={tmp_path}", "num_iterations=1")
    assert "num_iterations=NUMBER asks for more" in (tmp_path / "train.log").read_text()
    assert (tmp_path / "config.yaml").read_text() == config


@pytest.mark.parametrize(
    "arguments", [["--batch-size", "4"], ["--experiment=small"], ["--experiment", "small"]]
)
def test_options_with_dashes(arguments: list[str]) -> None:
    words = refused("train", *arguments)
    assert "given as key=value, without dashes" in words
    assert "; experiment=small" in words or arguments != ["--experiment=small"]


def test_a_setting_of_the_part_before(tmp_path: Path) -> None:
    key = "model.generator.input_generator.d_input"
    options = ["experiment=demo", "model/input_generator=repeat", f"hydra.run.dir={tmp_path}"]
    words = refused("train", *options)
    assert f"RepeatLatent has no setting d_input; ~{key} takes it away" in words
    run("train", *options, f"~{key}", *SMALL, "num_iterations=1")


def test_fewer_images_than_a_batch_and_portraits_are_told(tmp_path: Path) -> None:
    run("train", *SMALL, "data.num_images=3", f"hydra.run.dir={tmp_path}")
    log = (tmp_path / "train.log").read_text()
    assert "3 images are fewer than a batch of 4" in log
    assert "trains on portraits that fpainter draws; data=folder data.dir=PATH has others" in log


TWICE = "model.accumulate=2"
ALONE = "model.phases.generator compares images of a micro-batch with each other"


@pytest.mark.parametrize(
    "arguments",
    [
        ["batch_size=1"],
        ["batch_size=2", "trainer=ddp_2cpu"],
        ["batch_size=8", "trainer=slurm", "trainer.num_nodes=2", "trainer.devices=2", TWICE],
        ["stages=[{until:1},{until:2,batch_size:1}]"],
    ],
)
def test_single_images_have_no_distances(arguments: list[str], tmp_path: Path) -> None:
    """Which costs neither the cache of images nor the stages before."""
    options = [*SMALL, "model/phases=seeking", f"data.cache_dir={tmp_path / 'cache'}"]
    words = refused("train", *options, *arguments, f"hydra.run.dir={tmp_path / 'run'}")
    assert ALONE in words
    assert not (tmp_path / "cache").exists()


SIZES = [*SMALL, "model/phases=sizes", "model.discriminator.skips=1"]


def test_sizes_are_those_of_the_run(tmp_path: Path) -> None:
    run("train", *SIZES, "image_size=[24,16]", f"hydra.run.dir={tmp_path}")
    assert all(float(row["diversity"]) >= 0 for row in rows(tmp_path))


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("model.phases.generator.halvings=[1]", "image_size is halved, in whole numbers with 0"),
        ("model.phases.generator.halvings=[2,0]", "model.discriminator.skips=2 (in model)"),
        ("model.phases.generator.sizes=[8,16]", "There is no such key"),
        ("+model.phases.generator.sizes=[8,16]", "AtSizes has no setting sizes"),
    ],
)
def test_sizes_that_are_none(argument: str, words: str, tmp_path: Path) -> None:
    assert words in refused("train", *SIZES, argument, f"hydra.run.dir={tmp_path}")


def test_a_checkpoint_that_is_not_given(tmp_path: Path) -> None:
    assert refused("export", f"hydra.run.dir={tmp_path}") == "fpainter: give ckpt=...\n"


def test_a_run_directory_is_no_checkpoint(finished_run: Path, tmp_path: Path) -> None:
    message = refused("generate", f"ckpt={finished_run}", f"hydra.run.dir={tmp_path}")
    assert f"give {finished_run}/checkpoints/last.ckpt" in message


def test_a_run_shorter_than_the_first_report_has_metrics(tmp_path: Path) -> None:
    options = [f"hydra.run.dir={tmp_path}", "trainer.log_every_n_steps=5"]
    run("train", *SMALL, *options, "num_iterations=2")
    (row,) = rows(tmp_path)
    assert row["iteration"] == "2"
    assert float(row["loss/generator"]) > 0
    run("train", *options, "ckpt=last", "num_iterations=5")
    assert [row["iteration"] for row in rows(tmp_path)] == ["2", "5"]


def test_a_warm_start_that_is_lost_is_named_by_its_key(tmp_path: Path) -> None:
    """A run that may go on by itself looks for it late."""
    options = ["auto_resume=true", "warm_start.ckpt=/nowhere", f"hydra.run.dir={tmp_path}"]
    message = refused("train", *SMALL, "model=lstm_delta_split_v2", *options)
    assert message == "fpainter: warm_start.ckpt=/nowhere: there is no such file\n"
