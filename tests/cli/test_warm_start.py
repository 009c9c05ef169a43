"""A run that begins with a painter that was exported, which has no discriminator with it."""

import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from fpainter.callbacks.checkpoints import RunCheckpoints
from tests.cli.conftest import SMALL, refused, run
from tests.cli.test_commands import pytestmark as lightning_warnings

pytestmark = lightning_warnings
CONVOLUTIONAL = SMALL[4:6]
MODELS = {
    "lstm_delta": [*SMALL, "image_size=[16,24]", "data.channels=1", "model/learning_rule=oja"],
    "trafo_delta_split": [
        *SMALL, "model.generator.sequence_processor.d_feedforward=16", "model/canvas=learned",
        "model.generator.head.rate=row", "model.image_range=unit",
    ],
    "base": [
        "debug=fast", "image_size=32", "model.generator.c_max=16", *CONVOLUTIONAL, "batch_size=2",
        "data.num_images=12",
    ],
}  # fmt: skip


def exported(model: str, directory: Path, weights: str = "ema") -> Path:
    run("train", f"model={model}", *MODELS[model], f"hydra.run.dir={directory / 'run'}")
    ckpt = directory / "run" / "checkpoints" / "last.ckpt"
    run("export", f"ckpt={ckpt}", f"weights={weights}", f"output={directory / 'painter'}")
    return directory / "painter"


@pytest.mark.parametrize("model", MODELS)
def test_the_folder_says_how_its_generator_is_built(model: str, tmp_path: Path) -> None:
    folder, begun = exported(model, tmp_path), tmp_path / "begun"
    run(
        "train", f"warm_start.ckpt={folder}", "debug=fast", *CONVOLUTIONAL, "data.num_images=12",
        "num_iterations=1", f"hydra.run.dir={begun}",
    )  # fmt: skip
    first, second = (OmegaConf.load(path / "config.yaml") for path in (tmp_path / "run", begun))
    assert second.model.generator == first.model.generator
    assert second.model.image_range == first.model.image_range
    assert second.image_size == first.image_size
    report = OmegaConf.load(begun / "warm_start.yaml")
    stored = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    generator = {name for name in stored["state_dict"] if name.startswith("generator")}
    assert set(report.taken) == generator
    assert not report.left
    assert "holds a generator alone: discriminator and optimisers start anew" in (
        (begun / "train.log").read_text()
    )
    run("train", "ckpt=last", f"hydra.run.dir={begun}", "num_iterations=2")


def test_a_unet_on_top_of_an_exported_painter(tmp_path: Path) -> None:
    folder, begun = exported("lstm_delta", tmp_path, weights="raw"), tmp_path / "begun"
    options = [
        "stage=unet", f"warm_start.ckpt={folder}", "debug=fast", *CONVOLUTIONAL,
        "data.num_images=12", "num_iterations=1", f"hydra.run.dir={begun}",
    ]  # fmt: skip
    assert "give warm_start.weights=raw" in refused("train", *options)
    run("train", *options, "warm_start.weights=raw")
    before, after = (
        torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for path in (tmp_path / "run", begun)
    )
    assert any(".refiner." in name for name in after)
    for name, tensor in before.items():
        if name.startswith("generator."):
            assert torch.equal(after[name], tensor), name


def test_a_folder_cannot_be_gone_on_from(finished_run: Path, tmp_path: Path) -> None:
    run("export", f"ckpt={finished_run}/checkpoints/last.ckpt", f"output={tmp_path / 'painter'}")
    message = refused("train", f"ckpt={tmp_path / 'painter'}")
    assert f"warm_start.ckpt={tmp_path / 'painter'} begins a new run" in message
    message = refused("train", f"ckpt={finished_run}")
    assert f"give ckpt=last hydra.run.dir={finished_run}" in message
    assert "not written by fpainter.export" in refused("train", f"warm_start.ckpt={tmp_path}")


def test_a_run_that_was_itself_gone_on_with(finished_run: Path, tmp_path: Path) -> None:
    before = shutil.copytree(finished_run, tmp_path / "before")
    run("train", "ckpt=last", f"hydra.run.dir={before}", "num_iterations=5", "fid=off")
    run(
        "train", f"warm_start.ckpt={before}/checkpoints/last.ckpt", "num_iterations=2",
        f"hydra.run.dir={tmp_path / 'new'}",
    )  # fmt: skip
    last = torch.load(tmp_path / "new" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["iteration"] == 2
    assert (tmp_path / "new" / "warm_start.yaml").is_file()


def test_a_run_keeps_its_model(finished_run: Path) -> None:
    message = refused(
        "train",
        "ckpt=last",
        f"hydra.run.dir={finished_run}",
        "model.generator.d_hidden=24",
        "num_iterations=99",
    )
    assert len(message.splitlines()) == 1
    assert "warm_start.ckpt=PATH" in message


ADAPTIVE = [*SMALL, "model/augment=adaptive", "model.augment.window=4"]


def probability(run_dir: Path) -> float:
    last = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    return float(last["state_dict"]["augment.probability"])


def test_a_discriminator_that_is_kept_needs_as_much_augmentation(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    run("train", *ADAPTIVE, "num_iterations=2", f"hydra.run.dir={first}")
    ckpt = first / "checkpoints" / "last.ckpt"
    stored = torch.load(ckpt, weights_only=True)
    stored["state_dict"]["augment.probability"].fill_(0.5)
    torch.save(stored, ckpt)
    begin = ["train", f"warm_start.ckpt={ckpt}", "num_iterations=1"]
    run(*begin, f"hydra.run.dir={second}")
    assert abs(probability(second) - 0.5) < 0.01
    assert "augment.probability" in OmegaConf.load(second / "warm_start.yaml").taken
    run(*begin, "warm_start.discriminator=reset", f"hydra.run.dir={tmp_path / 'third'}")
    assert probability(tmp_path / "third") < 0.01


@pytest.mark.parametrize("augment", ["none", "diff", "adaptive"])
def test_a_run_goes_on_with_another_augmentation(augment: str, tmp_path: Path) -> None:
    run("train", *ADAPTIVE, "num_iterations=2", f"hydra.run.dir={tmp_path}")
    again = ["train", "ckpt=last", f"hydra.run.dir={tmp_path}", f"model/augment={augment}"]
    run(*again, "num_iterations=3")
    run(*again, "model/augment=adaptive", "num_iterations=4")
    assert torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["iteration"] == 4


def test_what_a_run_had_come_to_stays(tmp_path: Path) -> None:
    every = ["checkpoint_every=1", "checkpoints.keep_every=2"]
    run("train", *SMALL, *every, "num_iterations=5", f"hydra.run.dir={tmp_path}")
    kept = tmp_path / "checkpoints"
    newest = torch.load(kept / "last.ckpt", weights_only=True)["state_dict"]
    run("train", f"ckpt={kept / '0000002.ckpt'}", "num_iterations=3", "seed=7")
    assert torch.load(kept / "last.ckpt", weights_only=True)["iteration"] == 3
    stayed = torch.load(kept / "0000005.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(tensor, newest[name]) for name, tensor in stayed.items())
    assert "had come to 5: its last state stays" in (tmp_path / "train.log").read_text()


def test_going_on_from_an_older_state_does_not_replace_a_better_one(
    finished_run: Path, tmp_path: Path
) -> None:
    """The best is what is there, however little the older state knew of."""
    best, last = (
        torch.load(finished_run / "checkpoints" / f"{n}.ckpt", weights_only=True)
        for n in ("best", "last")
    )
    best["callbacks"]["RunCheckpoints"]["best_score"] = 3.0
    torch.save(best, tmp_path / "best.ckpt")
    mine = last["callbacks"]["RunCheckpoints"] | {"best_score": 5.0}
    kinds = {key: mine[key] for key in ("protocol", "num_images", "image_size")}
    again, other = (
        RunCheckpoints(tmp_path, 1, **kind) for kind in (kinds, kinds | {"num_images": 9})
    )
    again.load_state_dict(mine)
    assert again.best_score == 3.0
    other.load_state_dict(mine | {"num_images": 9})
    assert other.best_score == 5.0  # those of the file cannot be compared
