"""Signed strips and chosen steps: warm where a step adds, cold where it takes away."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fpainter.generators.base import PaintingGenerator
from fpainter.generators.painting import Painting
from fpainter.nn.image_range import ImageRange
from fpainter.pictures.selection import Painted, paint
from fpainter.pictures.strips import COLD, WARM, draw_strips
from tests.generators.paintings import painting_of
from tests.training.toys import D_LATENT, SIZE, painter

SIGNED = ImageRange("signed")


class Plain(PaintingGenerator):
    """Shows a canvas as it is."""

    def paint(self, z: Tensor, label: Tensor | None = None) -> Painting:
        raise NotImplementedError

    def activate(self, canvas: Tensor) -> Tensor:
        return canvas

    def refine(self, canvas: Tensor) -> Tensor:
        return canvas


def cells(strip: Image.Image, height: int, width: int) -> list[list[np.ndarray]]:
    """Cut a strip of one image into updates and canvases."""
    picture = np.asarray(strip.convert("RGB"))
    return [
        [
            picture[1 + top : 1 + top + height, left : left + width]
            for left in range(1, picture.shape[1] - 1, width + 1)
        ]
        for top in (0, height + 1)
    ]


def work(channels: int, amounts: list[float]) -> Painted:
    """Write an amount into the first of two columns, once per step."""
    cols = torch.tensor([1.0, 0]).expand(1, channels, len(amounts), 2)
    rows = torch.tensor(amounts)[:, None].expand(1, channels, -1, 3)
    return Painted(Plain(), SIGNED, painting_of(rows, cols), None)


@pytest.mark.parametrize("channels", [1, 3])
def test_signed_updates(channels: int) -> None:
    strip = draw_strips(work(channels, [0.8, -0.8, 0.4, 0.0]), [1, 2, 3, 4], "signed")
    updates, canvases = cells(strip, 3, 2)
    half = [round(255 + (c - 255) / 2) for c in WARM]
    for update, colour in zip(updates, (WARM, COLD, half, (255,) * 3), strict=True):
        assert np.abs(update[:, 0].astype(int) - colour).max() <= 1
        assert (update[:, 1] == 255).all()
    for canvas, level in zip(canvases, (0.8, 0, 0.4, 0.4), strict=True):
        assert np.abs(canvas[:, 0].astype(int) - 127.5 * (1 + level)).max() <= 1


def test_signed_transparent_images_stand_on_paper() -> None:
    (_, (canvas,)) = cells(draw_strips(work(4, [0.0]), [1], "signed"), 3, 2)
    assert np.abs(canvas.astype(int) - (128 + 255) / 2).max() <= 1  # half transparent grey


def test_chosen_steps_show_all_that_was_added_since() -> None:
    with torch.no_grad():
        painted = paint(painter(), SIGNED, torch.randn(1, D_LATENT))
    updates, canvases = cells(draw_strips(painted, [1, 4]), SIZE, SIZE)
    assert len(updates) == len(canvases) == 2
    expected = SIGNED.to_bytes(painted.painting.updates()[0, 1:].sum(dim=0).tanh())
    difference = np.moveaxis(updates[1].astype(int), -1, 0) - expected.int().numpy()
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("steps", [[], [0, 1], [2, 1], [1, 1], [5]])
def test_steps_that_cannot_be_shown(steps: list[int]) -> None:
    painted = paint(painter(), SIGNED, torch.randn(1, D_LATENT))
    with pytest.raises(ValueError, match=r"steps must increase within 1\.\.4; got"):
        draw_strips(painted, steps)
