"""A canvas that begins as the mean picture."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from fpainter.callbacks.mean_start import MeanStart
from fpainter.generators.canvas import LearnedCanvas, MeanCanvas
from fpainter.generators.painter import FastWeightPainter
from tests.training.toys import D_LATENT, SIZE, gan, painter


class Pictures:
    """Three hundred images, one of which no even choice of 100 meets."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(3)
        size = (300, 3, SIZE, SIZE)
        self.all = torch.randint(40, 200, size, generator=generator, dtype=torch.uint8)
        self.all[1] = 255

    def __len__(self) -> int:
        return len(self.all)

    def batch(self, indices: list[int]) -> Tensor:
        return self.all[indices]


def begin(module: Any, images: Pictures, num_images: int = 2_048) -> Any:
    trainer: Any = SimpleNamespace(datamodule=SimpleNamespace(images=images))
    MeanStart(num_images).setup(trainer, module, "fit")
    return module


@pytest.mark.parametrize("colours", ["rgb", "opponent"])
@pytest.mark.parametrize("activation", ["tanh", "identity"])
def test_the_first_picture_is_the_mean(colours: str, activation: str) -> None:
    artist = painter()
    artist.canvas = MeanCanvas(SIZE)
    artist.colours, artist.output_activation = colours, activation
    module = begin(gan(generator=artist), images := Pictures())
    mean = images.all.double().mean(dim=0) / 127.5 - 1
    for each in (module.generator, module.generator_ema):
        assert isinstance(each, FastWeightPainter)
        shown = each.image_at(torch.zeros(1, D_LATENT), 0)[0]
        torch.testing.assert_close(shown.double(), mean, atol=1e-5, rtol=0)


def test_some_of_the_images_do() -> None:
    artist = painter()
    artist.canvas = MeanCanvas(SIZE)
    module = begin(gan(generator=artist), images := Pictures(), 100)
    expected = (images.all[::3].double().mean(dim=0) / 127.5 - 1).atanh()
    torch.testing.assert_close(module.generator.canvas.canvas.double(), expected, atol=1e-5, rtol=0)


def test_other_canvases_stay() -> None:
    artist = painter()
    artist.canvas = LearnedCanvas(SIZE)
    before = artist.canvas.canvas.clone()
    begin(gan(generator=artist), Pictures())
    assert torch.equal(artist.canvas.canvas, before)
    with pytest.raises(ValueError, match="num_images must be at least 1; got 0"):
        MeanStart(0)
