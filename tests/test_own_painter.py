"""The painter that comes with the package: it is whole, it paints portraits, commands use it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from fpainter import paths
from fpainter.checkpoints.inference import load_painter
from fpainter.data.decode import render
from fpainter.data.portraits import Portraits
from fpainter.errors import UserError
from fpainter.generators.base import Generator
from fpainter.generators.latents import latents
from fpainter.generators.lightgan import LightGANGenerator
from fpainter.generators.painter import FastWeightPainter
from fpainter.paths import own_painter
from fpainter.tasks import viewer
from tests.cli.conftest import refused, run

SAYS = "no ckpt= is given: this is the painter of portraits that comes with fpainter"


def samples(num: int) -> np.ndarray:
    """Paint images 0, 1, ... of seed 0: uint8 [N 3 32 32]."""
    sampler = load_painter(own_painter()).sampler
    with torch.no_grad():
        images: np.ndarray = sampler(latents(0, range(num), sampler.d_latent)).numpy()
    return images


def drawn(num: int, seed: int) -> np.ndarray:
    source = Portraits(num, seed)
    return np.stack([render(source.open(index), (32, 32), 3) for index in range(num)])


def nearest(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the root of the mean square from each image to the nearest other one, [N]."""
    images, others = (each.reshape(len(each), -1) / 255 for each in (images, others))
    squares = ((images[:, None] - others) ** 2).mean(axis=2)
    roots: np.ndarray = np.sqrt(squares.min(axis=1))
    return roots


def test_files() -> None:
    folder = own_painter()
    names = {"README.md", "config.json", "model.safetensors", "portraits.png"}
    assert {path.name for path in folder.iterdir()} == names
    assert (folder / "model.safetensors").stat().st_size <= 2_000_000
    assert (folder / "portraits.png").stat().st_size < 100_000
    state = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}
    painter = FastWeightPainter.from_pretrained()
    assert painter.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in painter.state_dict().items())
    assert isinstance(Generator.from_pretrained(), FastWeightPainter)
    with pytest.raises(UserError, match="holds a FastWeightPainter, no LightGANGenerator"):
        LightGANGenerator.from_pretrained()


def test_the_card_tells_how_it_was_trained() -> None:
    card = (own_painter() / "README.md").read_text(encoding="utf-8")
    assert "python -m fpainter.train experiment=demo" in card
    for word in ("seed", "iterations", "CPU", "FID", "torch", "portraits.png"):
        assert word in card
    assert f"{load_painter(own_painter()).iteration:,} iterations" in card


def test_the_picture_of_its_card_shows_what_it_paints() -> None:
    """Up to the rounding of another processor."""
    with Image.open(own_painter() / "portraits.png") as picture:
        shown = np.asarray(picture.convert("RGB")).astype(float)
    first = samples(1)[0].transpose(1, 2, 0).astype(float)
    rows = shown[2:34, 2:34]
    assert np.abs(rows - first).mean() < 2


def test_it_paints_portraits() -> None:
    """Light and colours vary as those of portraits, which lie about as near as to each other."""
    portraits, others = drawn(160, 7), drawn(160, 8)
    painted = samples(160)
    for axes in ((0, 2, 3), (0, 1, 2, 3)):
        assert np.abs(painted.mean(axes) - portraits.mean(axes)).max() < 10
        assert np.abs(painted.std(axes) / portraits.std(axes) - 1).max() < 0.1
    pictures = [each.mean(0) - each.mean() for each in (painted, portraits)]
    assert np.corrcoef(*(picture.ravel() for picture in pictures))[0, 1] > 0.97
    between = np.median(nearest(others, portraits))
    assert np.median(nearest(painted, portraits)) < 1.2 * between
    variety, expected = (np.median(nearest(each[:80], each[80:])) for each in (painted, others))
    assert variety > 0.4 * expected  # of ten kinds, each painted eight times, it would be nothing
    noise = np.random.default_rng(0).permuted(portraits.reshape(160, -1), axis=1)
    assert np.median(nearest(noise, portraits)) > 1.5 * between  # what the bound would refuse


def test_generate_and_the_viewer_use_it(tmp_path: Path) -> None:
    run("generate", "num_images=2", f"hydra.run.dir={tmp_path / 'a'}")
    log = (tmp_path / "a" / "generate.log").read_text()
    assert log.count(SAYS) == 1
    with Image.open(tmp_path / "a" / "images" / "000001.png") as image:
        assert np.array_equal(np.asarray(image).transpose(2, 0, 1), samples(2)[1])
    run("viewer", "num_images=2", f"hydra.run.dir={tmp_path / 'b'}")
    assert (tmp_path / "b" / "viewer.log").read_text().count(SAYS) == 1
    assert "portraits" in (tmp_path / "b" / "viewer.html").read_text(encoding="utf-8")
    run("generate", f"ckpt={own_painter()}", "what=grid", f"hydra.run.dir={tmp_path / 'c'}")
    assert SAYS not in (tmp_path / "c" / "generate.log").read_text()


def test_others_still_ask_for_a_checkpoint(tmp_path: Path) -> None:
    for command in ("eval", "export"):
        assert "ckpt=" in refused(command, f"hydra.run.dir={tmp_path}")


def test_an_installation_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "OWN_PAINTER", tmp_path / "none")
    words = "this installation lacks its own painter"
    for command in ("generate", "viewer"):
        message = refused(command, f"hydra.run.dir={tmp_path / 'run'}")
        assert words in message
        assert len(message.splitlines()) == 1
    with pytest.raises(UserError, match=words):
        FastWeightPainter.from_pretrained()
    run("generate", "what=augmentation", "data=portraits", "model/augment=diff",
        "data.num_images=8", f"hydra.run.dir={tmp_path / 'reals'}")  # fmt: skip
    assert (tmp_path / "reals" / "augmentation.png").is_file()


@pytest.mark.parametrize(("display", "opened"), [(":0", 1), (None, 0)])
def test_the_page_opens_where_there_is_a_display(
    display: str | None, opened: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[str] = []
    monkeypatch.setattr(viewer.webbrowser, "open", pages.append)
    monkeypatch.setattr(viewer.sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    if display is not None:
        monkeypatch.setenv("DISPLAY", display)
    options = ["num_images=1", f"hydra.run.dir={tmp_path}"]
    run("viewer", *options)
    assert pages == []
    run("viewer", *options, "open=true")
    assert pages == [(tmp_path / "viewer.html").as_uri()] * opened
    assert "open=maybe: must be true or false" in refused("viewer", *options, "open=maybe")
