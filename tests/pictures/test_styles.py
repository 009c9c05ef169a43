"""Pictures of what styles, noise and attention decide."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fpainter.generators.sampler import Sampler
from fpainter.generators.synthesis.generator import SynthesisGenerator
from fpainter.nn.image_range import ImageRange
from fpainter.pictures.attention import (
    attending_sizes,
    attention_of,
    component_colours,
    draw_components,
    mixture,
)
from fpainter.pictures.grids import LABEL_HEIGHT
from fpainter.pictures.mixing import draw_mixing, mixing_cutoff
from fpainter.pictures.noise import check_noise, draw_noise, vary_noise
from fpainter.pictures.styles import paint_styles, styles_of
from tests.generators.test_synthesis import gansformer, make


def sampler_of(generator: SynthesisGenerator) -> Sampler:
    return Sampler(generator.eval(), ImageRange("signed"))


def cells(picture: Image.Image, columns: int, size: int, gap: int = 2) -> list[np.ndarray]:
    pixels, step = np.asarray(picture), size + gap
    rows = (picture.height - gap) // step
    return [
        np.moveaxis(pixels[gap + r * step :, gap + c * step :][:size, :size], -1, 0)
        for r in range(rows)
        for c in range(columns)
    ]


def test_mixed_images_have_the_styles_of_their_row_and_column() -> None:
    sampler = sampler_of(make())
    w = styles_of(sampler, torch.randn(5, sampler.d_latent))
    table = cells(draw_mixing(sampler, w[:2], w[2:], 3, batch_size=4), 4, 16)
    sources = sampler.image_range.to_bytes(paint_styles(sampler, w)).numpy()
    for place, source in zip([1, 2, 3, 4, 8], [2, 3, 4, 0, 1], strict=True):
        np.testing.assert_array_equal(table[place], sources[source])
    mixed = w[3].clone()
    mixed[:3] = w[1, :3]
    expected = sampler.image_range.to_bytes(paint_styles(sampler, mixed[None]))[0]
    assert np.abs(table[8 + 2].astype(int) - expected.numpy()).max() <= 1
    with pytest.raises(ValueError, match=r"cutoff must be in 0\.\."):
        mixing_cutoff(sampler, w.shape[1] + 1)


def test_the_deviation_is_that_of_the_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = sampler_of(make())
    w = styles_of(sampler, torch.randn(2, sampler.d_latent))
    before = torch.get_rng_state()
    quiet = vary_noise(sampler, w, [1, 2], 6, 2, 4)  # all strengths are 0
    assert float(quiet.deviation.max()) < 1e-3
    assert np.asarray(draw_noise(quiet))[1:17, -17:-1].max() == 0
    assert torch.equal(torch.get_rng_state(), before)

    def noisy(w: Tensor, noise: str | None = None) -> Tensor:
        spread = torch.linspace(0, 0.4, 16).expand(len(w), 3, 8, 16)
        return spread * torch.randn(spread.shape) if noise == "random" else 0 * spread

    monkeypatch.setattr(sampler.generator, "synthesis", noisy)
    found = vary_noise(sampler, w, [1, 2], 400, 3, 64)
    expected = torch.linspace(0, 0.4, 16) * 255 / 2
    torch.testing.assert_close(found.deviation.mean(dim=(0, 1)), expected, rtol=0.05, atol=1e-6)
    assert found.samples.shape == (2, 3, 3, 8, 16)
    assert not torch.equal(found.samples[0], found.samples[1])
    assert torch.equal(found.samples, vary_noise(sampler, w, [1, 2], 400, 3, 64).samples)
    assert draw_noise(found).size == (5 * 17 + 1, 2 * 9 + 1 + LABEL_HEIGHT)
    with pytest.raises(ValueError, match="without noise"):
        check_noise(sampler_of(make(noise="none")))


def test_pixels_have_the_colour_of_what_they_attend_to() -> None:
    image = torch.full((3, 4, 8), 255, dtype=torch.uint8)
    maps = torch.zeros(2, 1, 4, 8)
    maps[0, 0, :, :4], maps[1, 0, :, 4:] = 0.2, 0.1
    shown = mixture(image, maps)[0].float()
    expected = 255 + 0.75 * (component_colours(2) - 255)
    assert float((shown[:, :, :4] - expected[0, :, None, None]).abs().max()) <= 0.5
    assert float((shown[:, :, 4:] - expected[1, :, None, None]).abs().max()) <= 0.5
    # Of each alone, the stronger in full and the weaker in half its colour; the rest is grey.
    pixels = np.asarray(draw_components(image, maps, [(4, 4)])).astype(float)[:, -18:-1]
    for row, number, strength in [(0, 0, 1.0), (1, 1, 0.5)]:
        cell = pixels[1 + 5 * row :, 9:][:4, :8]
        painted, rest = (cell[:, :4], cell[:, 4:])[:: 1 if number == 0 else -1]
        colour = 255 + 0.75 * strength * (component_colours(2)[number].numpy() - 255)
        assert np.abs(painted - colour).max() <= 0.5
        assert (rest == 255).all()


@pytest.mark.parametrize("make_one", [gansformer, lambda: gansformer(num_heads=2)])
def test_attention_of_each_layer(make_one: Callable[[], SynthesisGenerator]) -> None:
    sampler = sampler_of(make_one())
    w = styles_of(sampler, torch.randn(2, sampler.d_latent))
    images, maps = attention_of(sampler, w)
    sizes = attending_sizes(sampler)
    assert maps.shape == (2, 3, len(sizes), 16, 16)
    torch.testing.assert_close(maps.sum(dim=1), torch.ones_like(maps[:, 0]))
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == ((4, 4), (16, 16))
    # A map of 4 x 4 places is enlarged by 4 pixels.
    assert torch.equal(maps[:, :, 0, :4, :4], maps[:, :, 0, :1, :1].expand(-1, -1, 4, 4))
    assert images.shape == (2, 3, 16, 16)
    with pytest.raises(ValueError, match="no local latents"):
        attending_sizes(sampler_of(make()))
