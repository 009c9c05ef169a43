"""What was written before classes got their present places is read, painted and gone on with.

``before_move/`` holds a checkpoint of four iterations, the painter exported from it, and the
images that its code painted for latents 0 to 2 of seed 0.
"""

import json
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file

from fpainter.checkpoints.inference import load_painter, read_checkpoint
from fpainter.errors import UserError
from fpainter.former import MOVED, with_current_names, with_current_overrides
from fpainter.generators.latents import latents
from tests.cli.conftest import run
from tests.cli.test_commands import pytestmark as lightning_warnings
from tests.cli.test_commands import rows

pytestmark = lightning_warnings

OLD = Path(__file__).parent / "before_move"


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    """A run directory with the old checkpoint as its last."""
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    shutil.copy(OLD / "last.ckpt", checkpoint)
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("path", "weights"),
    [(OLD / "last.ckpt", "ema"), (OLD / "last.ckpt", "raw"), (OLD / "painter", "ema")],
    ids=["ema", "raw", "exported"],
)
def test_it_paints_what_it_painted(path: Path, weights: str) -> None:
    generator = load_painter(path, weights).sampler.generator
    expected = load_file(OLD / "images.safetensors")[weights]
    torch.testing.assert_close(generator(latents(0, range(3), 4)), expected, atol=1e-6, rtol=0)


def test_its_card_tells_the_truth() -> None:
    card = (OLD / "painter" / "README.md").read_text()
    code = card.split("```python\n")[1].split("```")[0].replace("FOLDER", f"{OLD}/painter")
    found: dict[str, Any] = {}
    exec(code, found)
    assert found["images"].shape == (4, 3, 16, 16)


def test_painting_needs_no_trainer() -> None:
    """What reads a painter from a checkpoint starts fast and runs where training does not."""
    heavy = {"hydra", "lightning", "matplotlib", "torchmetrics", "torchvision"}
    code = (
        "import sys; from fpainter.checkpoints.inference import load_painter; "
        f"load_painter({str(OLD / 'last.ckpt')!r}); load_painter({str(OLD / 'painter')!r}); "
        f"print(sorted({heavy} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_a_run_goes_on(old_run: Path) -> None:
    run("train", f"ckpt={old_run / 'checkpoints' / 'last.ckpt'}", "num_iterations=6")
    assert [row["iteration"] for row in rows(old_run)] == ["5", "6"]


@pytest.fixture
def older_run(old_run: Path) -> Path:
    """The same run as if it had been trained with settings that are gone."""
    last = old_run / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(last, weights_only=True)
    record = checkpoint["fpainter"]
    record["config"]["model"]["generator"]["colours"] = "rgb"
    record["overrides"] += ["model.generator.colours=rgb", "++callbacks.mean_start.num_images=9"]
    torch.save(checkpoint, last)
    return old_run


@pytest.mark.parametrize("by", ["ckpt", "auto_resume"])
def test_a_run_with_settings_that_are_gone_goes_on(older_run: Path, by: str) -> None:
    arguments = [f"ckpt={older_run / 'checkpoints' / 'last.ckpt'}"]
    if by == "auto_resume":
        overrides = read_checkpoint(OLD / "last.ckpt")["fpainter"]["overrides"]
        arguments = [*overrides, "auto_resume=true", f"hydra.run.dir={older_run}"]
    run("train", *arguments, "num_iterations=5")
    assert [row["iteration"] for row in rows(older_run)] == ["5"]


def test_a_canvas_that_began_as_the_mean_picture(tmp_path: Path) -> None:
    """It is learned, like the one that is still there."""
    folder = shutil.copytree(OLD / "painter", tmp_path / "painter")
    description = json.loads((folder / "config.json").read_text())
    canvas = {"_target_": "fpainter.generators.canvas.MeanCanvas", "image_size": 16}
    description["config"]["model"]["generator"] |= {"canvas": canvas, "colours": "rgb"}
    (folder / "config.json").write_text(json.dumps(description))
    state = load_file(folder / "model.safetensors")
    save_file(state | {"canvas.canvas": torch.zeros(3, 16, 16)}, folder / "model.safetensors")
    painter = load_painter(folder).sampler.generator
    expected = load_file(OLD / "images.safetensors")["ema"]
    torch.testing.assert_close(painter(latents(0, range(3), 4)), expected, atol=1e-6, rtol=0)
    assert with_current_overrides(["a=1", "model/canvas=mean"]) == ["a=1", "model/canvas=learned"]


def test_opponent_colours_are_refused(older_run: Path) -> None:
    last = older_run / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(last, weights_only=True)
    checkpoint["fpainter"]["config"]["model"]["generator"]["colours"] = "opponent"
    torch.save(checkpoint, last)
    with pytest.raises(UserError, match=r"last.ckpt: its canvas has colours=opponent; this"):
        load_painter(last)


def test_a_run_is_known_again(old_run: Path) -> None:
    """A job of a sweep, or one that is queued again, compares its settings with the old ones."""
    overrides = read_checkpoint(OLD / "last.ckpt")["fpainter"]["overrides"]
    run(
        "train", *overrides, "num_iterations=5", "auto_resume=true", f"hydra.run.dir={old_run}"
    )  # fmt: skip
    assert [row["iteration"] for row in rows(old_run)] == ["5"]


def test_a_warm_start(tmp_path: Path) -> None:
    for path in (OLD / "last.ckpt", OLD / "painter"):
        directory = tmp_path / path.name
        run(
            "train", f"warm_start.ckpt={path}", "debug=fast", "data.num_images=12",
            "model/discriminator=convolutional", "model.discriminator.widths=[3,4]",
            "num_iterations=1", f"hydra.run.dir={directory}",
        )  # fmt: skip
        taken = OmegaConf.load(directory / "warm_start.yaml").taken
        assert "generator.head.to_instructions.weight" in taken


def test_images_and_pictures(tmp_path: Path) -> None:
    run("generate", f"ckpt={OLD / 'last.ckpt'}", "num_images=2", f"hydra.run.dir={tmp_path}")
    assert (tmp_path / "images" / "000001.png").is_file()


def test_every_class_that_moved_is_found() -> None:
    config = {
        "augment": {"_target_": "fpainter.discriminators.augment.DiffAugment"},
        "several": [{"_target_": "fpainter.data.streams.StreamDataModule.from_shards"}, 3],
        "rest": {"_target_": "torch.nn.Identity"},
    }
    assert with_current_names(config, "") == {
        "augment": {"_target_": "fpainter.augmentation.diff.DiffAugment"},
        "several": [
            {"_target_": "fpainter.data.streaming.datamodule.StreamDataModule.from_shards"}, 3
        ],
        "rest": {"_target_": "torch.nn.Identity"},
    }  # fmt: skip
    for new in MOVED.values():
        pkgutil.resolve_name(new.rstrip("."))
