"""Films: the frames are the canvases, they last as long as asked, and margins show the orders."""

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fpainter.generators.base import PaintingGenerator
from fpainter.nn.image_range import ImageRange
from fpainter.pictures import film
from fpainter.pictures.film import PALETTE_FRAMES, Frames, check_film, painting_film, save_film
from fpainter.pictures.grids import grid, to_picture
from fpainter.pictures.selection import Painted, paint
from tests.pictures.test_pictures import refining
from tests.pictures.test_selection import without
from tests.training.toys import D_LATENT, SIZE, STEPS, painter

SIGNED = ImageRange("signed")


def works(generator: PaintingGenerator, *sizes: int) -> list[Painted]:
    return [paint(generator, SIGNED, 3 * torch.randn(size, D_LATENT)) for size in sizes]


def decoded(path: Path) -> tuple[list[np.ndarray], list[float]]:
    frames, times = [], []
    with Image.open(path) as picture:
        for index in range(getattr(picture, "n_frames", 1)):
            picture.seek(index)
            picture.load()
            frames.append(np.asarray(picture.convert("RGB")))
            times.append(picture.info["duration"])
    return frames, times


@pytest.mark.parametrize("kind", ["apng", "webp"])
def test_frames_are_the_canvases(kind: str, tmp_path: Path) -> None:
    (work,) = works(painter(), 1)
    save_film(painting_film([work]), tmp_path / f"film.{kind}", fps=10, hold=1.5)
    frames, times = decoded(tmp_path / f"film.{kind}")
    canvases = SIGNED.to_bytes(work.painting.canvases().tanh())[0]
    assert len(frames) == STEPS
    for frame, canvas in zip(frames, canvases, strict=True):
        difference = frame.astype(int) - np.moveaxis(canvas.numpy().astype(int), 0, -1)
        assert np.abs(difference).max() <= 1  # sums of the same numbers in another order
    finished = SIGNED.to_bytes(work.painting.image().tanh())[0]
    np.testing.assert_array_equal(frames[-1], to_picture(finished))
    if kind == "apng":
        assert times == [100, 100, 100, 1500]
    else:  # Pillow reads when a frame begins, in place of how long it stays
        assert len(times) == STEPS


def test_gif(tmp_path: Path) -> None:
    work = works(painter(), 3)
    frames = painting_film(work)
    save_film(frames, tmp_path / "film.gif", fps=10, hold=2, scale=3)
    shown, times = decoded(tmp_path / "film.gif")
    assert times == [100, 100, 100, 2000]
    for index, (frame, drawn) in enumerate(zip(shown, frames, strict=True)):
        assert frame.shape == (3 * (2 * SIZE + 6), 3 * (2 * SIZE + 6), 3)
        error = frame[1::3, 1::3].astype(int) - np.asarray(drawn)
        assert np.abs(error).mean() < 4, index  # of 256 colours
    with Image.open(tmp_path / "film.gif") as picture:
        assert picture.info["loop"] == 0


def test_the_refined_image_is_the_last_frame() -> None:
    (work,) = works(refining(), 1)
    frames = painting_film([work])
    assert len(frames) == len(list(frames)) == STEPS + 1
    canvas = work.painting.image()
    for index, last in [(STEPS - 1, canvas), (STEPS, canvas / 2)]:
        expected = to_picture(SIGNED.to_bytes(last.tanh())[0])
        np.testing.assert_array_equal(frames.draw(index), expected)


def test_grid_of_slices() -> None:
    parts = works(painter(), 2, 1)
    images = torch.cat([SIGNED.to_bytes(work.painting.image().tanh()) for work in parts])
    np.testing.assert_array_equal(
        painting_film(parts, columns=3).draw(STEPS - 1), grid(images, columns=3)
    )


def test_margin_shows_key_and_value_while_they_are_applied() -> None:
    (work,) = works(without(refining(), 2), 1)
    frames = painting_film([work], margin=True)
    key, value = (work.painting.instructions[name] for name in ("key", "value"))
    for index, picture in enumerate(frames):
        cell = np.moveaxis(np.asarray(picture), -1, 0).astype(int)
        assert cell.shape == (3, SIZE + 3, SIZE + 3)
        top, left, image = cell[:, :2, 3:], cell[:, 3:, :2], cell[:, 3:, 3:]
        assert (cell[:, 2] == 255).all()
        assert (cell[:, :, 2] == 255).all()
        np.testing.assert_array_equal(np.moveaxis(image, 0, -1), painting_film([work]).draw(index))
        if index in (1, STEPS):  # dropped; refined
            assert (top == 255).all()
            assert (left == 255).all()
            continue
        expected = (255 * key[0, :, index] / key[0, :, index].max()).numpy()
        np.testing.assert_allclose(top[:, 0], expected, atol=1)
        np.testing.assert_array_equal(top[:, 0], top[:, 1])
        np.testing.assert_array_equal(left[:, :, 1], SIGNED.to_bytes(value[0, :, index].tanh()))


@pytest.mark.parametrize("mode", ["L", "RGBA"])
@pytest.mark.parametrize("kind", ["gif", "webp", "apng"])
def test_other_colour_modes(mode: str, kind: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(256, size=(3, 6, 5, 4), dtype=np.uint8)
    pictures = [Image.fromarray(each).convert(mode) for each in pixels]
    save_film(Frames(3, lambda index: pictures[index]), tmp_path / f"film.{kind}")
    assert len(decoded(tmp_path / f"film.{kind}")[0]) == 3


class FFmpeg:
    """Keeps what it is told to write."""

    def __init__(self) -> None:
        self.pages: list[bytes] = []

    def write_frames(self, path: str, size: tuple[int, int], **options: object):  # type: ignore[no-untyped-def]
        self.size, self.options = size, options
        while True:
            page = yield
            if page is not None:
                self.pages.append(page)


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_frames_are_drawn_one_at_a_time(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film, "_ffmpeg", FFmpeg)
    alive = most = 0

    def forget() -> None:
        nonlocal alive
        alive -= 1

    def draw(index: int) -> Image.Image:
        nonlocal alive, most
        picture = Image.new("RGB", (4, 4), (index, 0, 0))
        weakref.finalize(picture, forget)
        alive += 1
        most = max(most, alive)
        return picture

    save_film(Frames(60, draw), tmp_path / f"film.{kind}")
    assert most <= PALETTE_FRAMES


def test_scale_to_a_good_size(tmp_path: Path) -> None:
    picture = Image.new("RGB", (40, 100))
    save_film(Frames(2, lambda index: picture), tmp_path / "film.apng", scale=None)
    with Image.open(tmp_path / "film.apng") as shown:
        assert shown.size == (200, 500)


def test_mp4_has_even_sides_and_repeats_the_last_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ffmpeg = FFmpeg()
    monkeypatch.setattr(film, "_ffmpeg", lambda: ffmpeg)
    shades = Frames(3, lambda index: Image.new("RGB", (5, 4), (index, 0, 0)))
    save_film(shades, tmp_path / "film.mp4", fps=10, hold=0.5, scale=1)
    assert ffmpeg.size == (6, 4)
    assert ffmpeg.options["fps"] == 10
    assert [page[0] for page in ffmpeg.pages] == [0, 1, 2, 2, 2, 2, 2]
    assert ffmpeg.pages[0][15:18] == b"\xff\xff\xff"


@pytest.mark.parametrize(
    ("kind", "fps", "hold", "scale", "words"),
    [
        ("avi", 12, 0, 1, "format must be one of gif, webp, apng, mp4; got avi"),
        ("gif", 0, 0, 1, "fps must be a number above 0 and at most 1000; got 0"),
        ("gif", "abc", 0, 1, "fps must be a number above 0 .* got abc"),
        ("gif", None, 0, 1, "fps must be a number"),
        ("webp", float("nan"), 0, 1, "fps must be a number"),
        ("gif", 60, 0, 1, "50 fps at most; got 60"),
        ("webp", 12, -1, 1, "hold must be from 0 to 600 seconds; got -1"),
        ("webp", 12, float("inf"), 1, "hold must be from 0"),
        ("webp", 12, "x", 1, "hold must be from 0 to 600 seconds; got x"),
        ("webp", 12, 0, 0, "scale must be a whole number from 1 to 64; got 0"),
        ("webp", 12, 0, 1.5, "scale must be a whole number"),
        ("webp", 12, 0, "x", "scale must be a whole number"),
        ("webp", 12, 0, 65, "scale must be a whole number"),
    ],
)
def test_films_that_cannot_be(kind: str, fps: Any, hold: Any, scale: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_film(kind, fps, hold, scale)


def test_mp4_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    with pytest.raises(ValueError, match=r"pip install 'fpainter\[video\]'"):
        check_film("mp4", 12, 0, 1)
