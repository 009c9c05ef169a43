"""Runs that train through several image sizes, and runs that grow another's painter."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback
from omegaconf import OmegaConf

from fpainter.checkpoints.inference import load_painter
from tests.cli.conftest import SMALL, refused, run
from tests.cli.test_commands import pytestmark as lightning_warnings
from tests.cli.test_commands import rows
from tests.cli.test_kills import differences, state

pytestmark = lightning_warnings
SMALLER = "model:{discriminator:{widths:[4,6],skips:0}}"
STAGES = [
    *SMALL[:-2], "data.num_images=12", "model.discriminator.widths=[3,4,6]",
    "model.discriminator.skips=1", "checkpoint_every=2", "num_iterations=5", "data.flip=true",
    f"stages=[{{until:3,image_size:8,batch_size:6,{SMALLER}}},{{until:${{num_iterations}}}}]",
]  # fmt: skip


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    directory = tmp_path_factory.mktemp("staged")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FPAINTER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        run("train", *STAGES, "checkpoints.keep_every=1", f"hydra.run.dir={directory}")
    return directory, (directory / "train.log").read_text()


def test_one_run_of_two_sizes(staged: tuple[Path, str]) -> None:
    directory, log = staged
    assert [row["iteration"] for row in rows(directory)] == ["1", "2", "3", "4", "5"]
    assert "stage 1 of 2: 8×8, iterations 0 to 3" in log
    assert "stage 2 of 2: 16×16, iterations 3 to 5; from 8×8: generator" in log
    assert "WARNING" not in log
    for name, size in ("0000003", 8), ("0000004", 16), ("last", 16):
        painter = load_painter(directory / "checkpoints" / f"{name}.ckpt")
        images = painter.sampler.generator(torch.zeros(1, 8))
        assert images.shape[-2:] == (size, size)
        assert painter.config.image_size == size
    assert OmegaConf.load(directory / "config.yaml").image_size == 16


@pytest.mark.parametrize("iteration", [2, 3, 4])
def test_a_resumed_run_ends_as_one_that_was_not_stopped(
    iteration: int, staged: tuple[Path, str], tmp_path: Path
) -> None:
    checkpoints = tmp_path / "run" / "checkpoints"
    checkpoints.mkdir(parents=True)
    shutil.copy(staged[0] / "checkpoints" / f"{iteration:07d}.ckpt", checkpoints / "last.ckpt")
    again = ["ckpt=last"] if iteration == 2 else [*STAGES, "auto_resume=true"]
    run("train", *again, f"hydra.run.dir={tmp_path / 'run'}", "checkpoints.keep_every=null")
    assert not differences(state(staged[0]), state(tmp_path / "run"))


def test_the_first_pictures_of_a_stage_are_the_last_of_the_one_before(
    staged: tuple[Path, str], tmp_path: Path
) -> None:
    """And the optimisers go on, where tensors have stayed as they were."""
    directory = tmp_path / "run"
    shutil.copytree(staged[0], directory)
    last = directory / "checkpoints" / "last.ckpt"
    shutil.copy(directory / "checkpoints" / "0000003.ckpt", last)
    old = load_painter(last).sampler.generator
    with pytest.raises(RuntimeError, match="killed"):
        run(
            "train", "ckpt=last", f"hydra.run.dir={directory}",
            "+callbacks.stop._target_=tests.cli.test_stages.Stop",
        )  # fmt: skip
    assert load_painter(last).iteration == 3
    new = load_painter(last).sampler.generator
    z = torch.randn(4, 8)
    shown = torch.nn.functional.avg_pool2d(new(z), 2)
    assert ((shown - old(z)).norm() / old(z).norm()) < 0.05
    before, after = (torch.load(p, weights_only=True)["optimizer_states"] for p in (
        directory / "checkpoints" / "0000003.ckpt", last
    ))  # fmt: skip
    kept = [len(states["state"]) for states in after]
    assert kept == [len(before[0]["state"]) - 2, len(before[1]["state"])]
    run("train", "ckpt=last", f"hydra.run.dir={directory}", "~callbacks.stop")
    assert not differences(state(staged[0]), state(directory))


def test_a_warm_start_grows(staged: tuple[Path, str], tmp_path: Path) -> None:
    """From a checkpoint and from an exported painter; the settings are those of its stage."""
    ckpt, folder = staged[0] / "checkpoints" / "0000003.ckpt", tmp_path / "painter"
    run("export", f"ckpt={ckpt}", f"output={folder}")
    small, pictures = load_painter(ckpt).sampler.generator, []
    z = torch.randn(4, 8)
    for index, path in enumerate((ckpt, folder)):
        run_dir = tmp_path / str(index)
        run(
            "train", f"warm_start.ckpt={path}", "image_size=[16,24]", "num_iterations=1",
            "debug=fast", "model/discriminator=convolutional", "model.discriminator.widths=[3,4]",
            "model.discriminator.skips=0", "data.num_images=12",
            f"hydra.run.dir={run_dir}",
        )  # fmt: skip
        assert "WARNING" not in (run_dir / "train.log").read_text()
        report = OmegaConf.load(run_dir / "warm_start.yaml")
        names = [f"head.to_instructions.{name}" for name in ("weight", "bias")]
        assert {f"generator.{n}" for n in names} <= set(report.grown)
        large = load_painter(run_dir / "checkpoints" / "last.ckpt")
        assert large.config.image_size == [16, 24]
        assert large.config.stages is None
        pictures.append(large.sampler.generator(z))
    kept, fresh = pictures
    assert torch.allclose(kept, fresh, atol=1e-3), "discriminators differ"
    shown = torch.nn.functional.avg_pool2d(pictures[0], (2, 3))
    assert (shown - small(z)).norm() / small(z).norm() < 0.1


def test_a_warm_start_from_a_later_stage(staged: tuple[Path, str], tmp_path: Path) -> None:
    ckpt = staged[0] / "checkpoints" / "last.ckpt"
    run("train", f"warm_start.ckpt={ckpt}", "num_iterations=1", f"hydra.run.dir={tmp_path}")
    before, after = (OmegaConf.load(path / "config.yaml") for path in (staged[0], tmp_path))
    assert (before.model, before.image_size) == (after.model, after.image_size)
    assert not OmegaConf.load(tmp_path / "warm_start.yaml").grown


def test_scales_that_were_forgotten_are_told(staged: tuple[Path, str], tmp_path: Path) -> None:
    run(
        "train", *SMALL, f"warm_start.ckpt={staged[0]}/checkpoints/0000003.ckpt",
        "model=lstm_delta_split_v2", "num_iterations=1", f"hydra.run.dir={tmp_path}",
    )  # fmt: skip
    log = (tmp_path / "train.log").read_text()
    assert "model.generator.head.key_scale=1.41421 model.generator.head.value_scale=1.41421" in log


def test_mistakes_in_stages_give_a_sentence(staged: tuple[Path, str]) -> None:
    for stages in ("[{until:3},{until:2}]", "[{until:4}]", "[{image_size:8}]", "[8]", "[]"):
        words = refused("train", *STAGES[:-1], f"stages={stages}")
        assert "a rising until: for each stage, the last at least num_iterations=5" in words
    later = "{until:5,image_size:18,model:{discriminator:{widths:[4,4,4]}}}"
    words = refused("train", *STAGES[:-1], f"stages=[{{until:3,image_size:8}},{later}]")
    assert "must be divisible by 8 (two for each of widths [4, 4, 4]); got 18×18" in words
    later = "{until:5,callbacks:{samples:{every:-1}}}"
    words = refused("train", *STAGES[:-1], f"stages=[{{until:3}},{later}]")
    assert "samples.every must be a whole number" in words
    words = refused("train", *STAGES[:-1], "stages=[{until:5,image_sise:8}]")
    assert "image_sise" in words
    words = refused("train", *STAGES[:-1], "stages=[{until:2},{until:5,image_size:8}]")
    assert "a painter can be grown but not made smaller, here from 16×16 to 8×8" in words
    words = refused(
        "train", *STAGES, "auto_resume=true", f"hydra.run.dir={staged[0]}", "num_iterations=9",
        "batch_size=2",
    )  # fmt: skip
    assert "batch_size is 4 there and 2 here" in words


def test_schedules_are_those_of_the_whole_run(tmp_path: Path) -> None:
    run("train", *STAGES, "model/schedule=cosine", "model.schedules.generator_lr.begin=0",
        f"hydra.run.dir={tmp_path}")  # fmt: skip
    rates = [float(row["lr/generator"]) for row in rows(tmp_path)]
    assert rates == sorted(rates, reverse=True)
    assert rates[2] > 0.3 * rates[0]  # stage 1 ends here, and the run does not


def test_scores_are_told_apart_by_the_size_of_their_stage(tmp_path: Path) -> None:
    run("train", *STAGES, "fid.enabled=true", "fid.every=2", "fid.num_images=6",
        f"hydra.run.dir={tmp_path}")  # fmt: skip
    scored = {row["iteration"]: row["scored_by"] for row in rows(tmp_path) if row["fid"]}
    small, large = (f"png, 6 fakes, {size}" for size in ("8×8", "16×16"))
    assert scored == {"2": small, "3": small, "4": large, "5": large}


@pytest.mark.parametrize("augment", ["{window:8}", "{_target_:torch.nn.Identity}"])
def test_a_stage_with_another_augmentation(augment: str, tmp_path: Path) -> None:
    stages = f"stages=[{{until:2}},{{until:3,model:{{augment:{augment}}}}}]"
    run("train", *STAGES[:-1], stages, "model/augment=adaptive", "model.augment.window=4",
        "num_iterations=3", f"hydra.run.dir={tmp_path}")  # fmt: skip
    assert [row["iteration"] for row in rows(tmp_path)] == ["1", "2", "3"]


class Stop(Callback):
    """Ends a stage before its first iteration."""

    def on_train_start(self, *args: Any) -> None:
        raise RuntimeError("killed")
