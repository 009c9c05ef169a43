"""A run that begins with a painter that was exported, which has no discriminator with it."""

import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

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
        "train", "ckpt=last", f"hydra.run.dir={finished_run}", "model.generator.d_hidden=24"
    )
    assert len(message.splitlines()) == 1
    assert "warm_start.ckpt=PATH" in message
