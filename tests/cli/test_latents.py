"""Latents that are saved, painted again, and moved towards their average."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fpainter.checkpoints.inference import load_painter
from fpainter.generators.latents import latents
from fpainter.generators.synthesis.generator import SynthesisGenerator
from tests.cli.conftest import refused, run


def painted(folder: Path, number: int) -> np.ndarray:
    with Image.open(folder / "images" / f"{number:06d}.png") as image:
        return np.moveaxis(np.asarray(image), -1, 0)


def test_saved_latents_paint_the_same_images(finished_run: Path, tmp_path: Path) -> None:
    ckpt = f"ckpt={finished_run / 'checkpoints' / 'last.ckpt'}"
    one, two = tmp_path / "one", tmp_path / "two"
    run("generate", ckpt, "seeds=[4,1,7]", "seed=5", "what=images", f"hydra.run.dir={one}")
    file = f"latents={one / 'latents.npz'}"
    options = ["what=[images,walk]", "walk.indices=[1,4]", f"hydra.run.dir={two}"]
    run("generate", ckpt, file, "seeds=[7,4]", *options)
    assert {path.name for path in (two / "images").iterdir()} == {"000004.png", "000007.png"}
    for number in (4, 7):
        np.testing.assert_array_equal(painted(two, number), painted(one, number))
    assert "got 3 (in seeds)" in refused("generate", ckpt, file, "seeds=3")
    assert "got 2 (in walk)" in refused(
        "generate", ckpt, file, "what=walk", "walk.indices=[1,2]", f"hydra.run.dir={tmp_path}"
    )


def test_truncation_of_a_painter_is_kept_with_its_latents(
    finished_run: Path, tmp_path: Path
) -> None:
    last = finished_run / "checkpoints" / "last.ckpt"
    one, two = tmp_path / "one", tmp_path / "two"
    options = ["what=images", "num_images=2"]
    run("generate", f"ckpt={last}", "truncation=0.25", *options, f"hydra.run.dir={one}")
    sampler = load_painter(last).sampler
    expected = sampler(0.25 * latents(0, [0, 1], sampler.d_latent))
    np.testing.assert_array_equal(painted(one, 1), expected[1].numpy())
    file = f"latents={one / 'latents.npz'}"
    run("generate", f"ckpt={last}", file, "what=images", f"hydra.run.dir={two}")
    np.testing.assert_array_equal(painted(two, 1), expected[1].numpy())


def test_styles_are_moved_and_painted(styled_run: Path, tmp_path: Path) -> None:
    last = styled_run / "checkpoints" / "last.ckpt"
    sampler = load_painter(last).sampler
    generator = sampler.generator
    assert isinstance(generator, SynthesisGenerator)
    z = latents(0, [0, 1], sampler.d_latent)
    with torch.inference_mode():
        w = generator.mapping(z)
        average = generator.w_average.repeat(w.shape[-1] // len(generator.w_average))
        expected = sampler.image_range.to_bytes(generator.synthesis(0.5 * (w + average)))
    one, two = tmp_path / "one", tmp_path / "two"
    options = ["what=images", "num_images=2", "truncation=0.5"]
    run("generate", f"ckpt={last}", *options, f"hydra.run.dir={one}")
    np.testing.assert_array_equal(painted(one, 1), expected[1].numpy())
    # What StyleGAN's projector writes has no numbers.
    np.savez(tmp_path / "w.npz", w=w.numpy())
    file = f"latents={tmp_path / 'w.npz'}"
    run("generate", f"ckpt={last}", file, *options, f"hydra.run.dir={two}")
    assert np.abs(painted(two, 1).astype(int) - expected[1].numpy()).max() <= 1
    with np.load(two / "latents.npz", allow_pickle=False) as written:
        np.testing.assert_array_equal(written["w"], w.numpy())
    words = refused("generate", f"ckpt={last}", file, "label=1", f"hydra.run.dir={two}")
    assert "styles have their class in them" in words


DAMAGED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no archive": (lambda path: path.write_bytes(b"latents"), "File is not a zip file"),
    "nothing": (lambda path: np.savez(path, numbers=np.arange(2)), "either z"),
    "both": (lambda path: np.savez(path, z=np.ones((1, 8)), w=np.ones((1, 2, 8))), "either z"),
    "whole numbers": (lambda path: np.savez(path, z=np.ones((1, 8), int)), "either z"),
    "no entries": (lambda path: np.savez(path, z=np.ones((2_000_000, 0))), "1 to 1,000,000"),
    "not finite": (lambda path: np.savez(path, z=np.full((1, 8), np.nan)), "finite"),
    "two of one number": (
        lambda path: np.savez(path, z=np.ones((2, 8)), numbers=np.zeros(2, int)),
        "a different one for each of the 2",
    ),
    "negative": (
        lambda path: np.savez(path, z=np.ones((1, 8)), numbers=np.array([-1])),
        "numbers must be in 0..",
    ),
    "labels": (
        lambda path: np.savez(path, z=np.ones((2, 8)), label=np.zeros(3, int)),
        "label must be one for each of the 2",
    ),
    "another size": (lambda path: np.savez(path, z=np.ones((1, 9))), "latents of 9 numbers"),
    "styles": (lambda path: np.savez(path, w=np.ones((1, 2, 4))), "Painter has no styles"),
    "a pickle": (lambda path: np.savez(path, z=np.array([{}])), "pickle"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_files_that_hold_no_latents(kind: str, finished_run: Path, tmp_path: Path) -> None:
    write, words = DAMAGED[kind]
    path = tmp_path / "latents.npz"
    write(path)
    ckpt = f"ckpt={finished_run / 'checkpoints' / 'last.ckpt'}"
    message = refused("generate", ckpt, f"latents={path}", f"hydra.run.dir={tmp_path}")
    assert words in message
    assert len(message.splitlines()) == 1
