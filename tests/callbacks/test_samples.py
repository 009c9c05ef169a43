"""Pictures on the way and the page at the end: what is drawn, when, and by whom."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fpainter.callbacks.samples import SampleGrid, Strips, Walk
from fpainter.callbacks.viewer import ViewerPage
from fpainter.generators.base import Generator
from fpainter.generators.latents import latents
from fpainter.generators.sampler import Sampler
from fpainter.nn.image_range import ImageRange
from fpainter.pictures.grids import grid
from fpainter.pictures.selection import Selection
from fpainter.pictures.walk import walk_latents
from fpainter.training.gan_module import GANModule
from tests.callbacks.test_checkpoints import pytestmark as pytestmark
from tests.pictures.test_pictures import refining
from tests.training.test_gan_module import fit
from tests.training.toys import D_LATENT, SIZE, gan, painter


class Photographer(Generator):
    """A generator without painting steps."""

    d_latent = D_LATENT

    def __init__(self) -> None:
        super().__init__()
        self.project = torch.nn.Linear(D_LATENT, 3 * SIZE * SIZE)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return self.project(z).tanh().reshape(len(z), 3, SIZE, SIZE)


def pictures(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_pictures_are_drawn_every_so_often_and_once_at_the_end(tmp_path: Path) -> None:
    fit(
        gan(), 5, tmp_path,
        SampleGrid(tmp_path / "samples", every=2, num_images=4),
        Strips(directory=tmp_path / "strips", every=5, num_images=2),
        Walk(directory=tmp_path / "walks", every=0, num_images=2, frames_between=1),
    )  # fmt: skip
    assert pictures(tmp_path / "samples") == ["0000002.png", "0000004.png", "0000005.png"]
    assert pictures(tmp_path / "strips") == pictures(tmp_path / "walks") == ["0000005.png"]


@pytest.mark.parametrize("generator", [None, Photographer])
def test_a_walk_is_drawn_by_the_average_of_any_generator(
    generator: type[Generator] | None, tmp_path: Path
) -> None:
    module = gan() if generator is None else gan(generator=generator())
    walk = Walk(directory=tmp_path / "walks", every=0, num_images=3, frames_between=2, seed=4)
    fit(module, 2, tmp_path, walk)
    assert module.sampler().generator is module.generator_ema
    images = module.sampler()(walk_latents(latents(4, range(3), D_LATENT), 2))
    drawn = opened(tmp_path / "walks" / "0000002.png")
    np.testing.assert_array_equal(drawn, grid(images, columns=3))
    assert drawn.shape[:2] == (3 * (SIZE + 2) + 2,) * 2
    assert len(np.unique(drawn)) > 10


def test_grid_shows_unrefined_images_at_the_left() -> None:
    for artist in (painter(), refining()):
        selection = Selection(Sampler(artist, ImageRange("signed")), 3, (0, 1, 2, 3))
        sheet = np.asarray(SampleGrid("samples", 0, num_images=4).draw(selection))
        before = selection.sampler.before_refiner()
        samplers = [before, selection.sampler] if before else [selection.sampler]
        expected = [np.asarray(grid(each(selection.latents()))) for each in samplers]
        np.testing.assert_array_equal(sheet, np.hstack(expected))


def test_training_goes_on_as_if_nobody_had_drawn(tmp_path: Path) -> None:
    plain = gan()
    fit(plain, 3, tmp_path / "plain")
    watched = gan()
    fit(
        watched, 3, tmp_path / "watched",
        Walk(directory=tmp_path / "walks", every=1, num_images=2, frames_between=1),
        ViewerPage(tmp_path, enabled=True, num_images=2),
    )  # fmt: skip
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, watched.state_dict()[name]), name


def test_strips_are_for_painters_only(tmp_path: Path) -> None:
    strips = Strips(directory=tmp_path / "strips", every=1, num_images=4)
    fit(gan(generator=Photographer()), 1, tmp_path, strips)
    assert pictures(tmp_path / "strips") == []


@pytest.mark.parametrize("value", [-1, "x", None, 1.5])
def test_times_that_cannot_be(value: Any) -> None:
    with pytest.raises(ValueError, match=f"walks.every must be a whole number.* got {value}"):
        Walk(directory="walks", every=value, num_images=6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_images": 1}, "num_images of at least 2; got 1"),
        ({"num_images": "x"}, "walks.num_images must be a whole number, at least 1; got x"),
        ({"scale": 0}, "walks.scale must be a whole number, at least 1; got 0"),
        ({"frames_between": -1}, "at least 0; got -1"),
        ({"path": "round"}, "one of spherical, linear; got round"),
    ],
)
def test_walks_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Walk(directory="walks", every=1, **{"num_images": 6, **options})


def page_of(module: GANModule, directory: Path, **options: Any) -> Path:
    directory.mkdir(exist_ok=True)
    fit(module, 2, directory, ViewerPage(directory, num_images=3, **options))
    return directory / "viewer.html"


def test_page_at_the_end(tmp_path: Path) -> None:
    text = page_of(gan(), tmp_path / "my <run>", enabled=True).read_text(encoding="utf-8")
    found = re.search(r'id="data">(.*?)</script>', text)
    assert found
    (painter,) = json.loads(found[1])
    assert len(painter["samples"]) == 3
    assert "my &lt;run&gt;" in text
    assert "Iteration 2 (ema weights). LSTM, ProjectLatent, DeltaRule. T=4, 8×8" in text


def test_no_page_unless_asked_for(tmp_path: Path) -> None:
    assert not page_of(gan(), tmp_path, enabled=False).exists()


def test_no_page_of_a_generator_that_does_not_paint(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        page = page_of(gan(generator=Photographer()), tmp_path, enabled=True)
    assert not page.exists()
    assert "no viewer.html: Photographer does not paint in steps" in caplog.text


def test_training_ends_well_though_the_page_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "viewer.html").mkdir()
    page_of(gan(), tmp_path, enabled=True)
    assert "no viewer.html: [Errno 21] Is a directory" in caplog.text


def test_a_page_of_no_images() -> None:
    with pytest.raises(ValueError, match=r"viewer\.num_images must be at least 1; got 0"):
        ViewerPage("run", enabled=True, num_images=0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_columns": 0}, "strips.num_columns must be a whole number, at least 1; got 0"),
        ({"normalisation": "none"}, "normalisation must be one of .*; got 'none'"),
    ],
)
def test_strips_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Strips(directory="strips", every=1, num_images=6, **options)
