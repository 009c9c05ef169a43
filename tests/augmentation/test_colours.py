"""Changes of colours: what stays, how the rest is drawn, and which pictures can have them."""

import math

import pytest
import torch
from torch import Tensor

from fpainter.augmentation.colours import COLOURS, recolour
from fpainter.nn.image_range import ImageRange

MANY = 4000
GREY = torch.full((3,), 3**-0.5, dtype=torch.float64)
CHROMA = torch.tensor([[1.0, -1, 0], [1, 1, -2]], dtype=torch.float64)
CHROMA = CHROMA / CHROMA.norm(dim=1, keepdim=True)


def drawn(name: str) -> Tensor:
    torch.manual_seed(0)
    return COLOURS[name](torch.zeros(MANY, 3, 1, 1, dtype=torch.float64))


def parts(name: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return the factor of greys [N], the map of colours [N 2 2], and what is added [N 3]."""
    matrix = drawn(name)
    turned = torch.cat([GREY[None], CHROMA])
    linear = turned @ matrix[:, :3, :3] @ turned.T
    torch.testing.assert_close(linear[:, 0, 1:], torch.zeros_like(linear[:, 0, 1:]))
    torch.testing.assert_close(linear[:, 1:, 0], torch.zeros_like(linear[:, 1:, 0]))
    assert torch.equal(matrix[:, 3], torch.tensor([0.0, 0, 0, 1]).double().expand(MANY, 4))
    return linear[:, 0, 0], linear[:, 1:, 1:], matrix[:, :3, 3]


ONE = torch.ones(MANY, dtype=torch.float64)
SAME = torch.eye(2, dtype=torch.float64).expand(MANY, 2, 2)


def check_normal(x: Tensor, spread: float) -> None:
    assert abs(x.mean().item()) < 5 * spread / MANY**0.5
    assert x.std().item() == pytest.approx(spread, rel=0.06)


def test_brightness() -> None:
    grey, chroma, added = parts("brightness")
    torch.testing.assert_close(grey, ONE)
    torch.testing.assert_close(chroma, SAME)
    assert torch.equal(added, added[:, :1].expand(-1, 3))
    check_normal(added[:, 0], 0.2)


def test_contrast() -> None:
    grey, chroma, added = parts("contrast")
    check_normal(grey.log2(), 0.5)
    torch.testing.assert_close(chroma, grey[:, None, None] * SAME)
    assert not added.any()


def test_luma_flip() -> None:
    grey, chroma, added = parts("luma_flip")
    torch.testing.assert_close(chroma, SAME)
    torch.testing.assert_close(grey.abs(), ONE)
    assert abs((grey < 0).double().mean().item() - 0.5) < 5 * 0.5 / MANY**0.5
    assert not added.any()


def test_hue() -> None:
    grey, chroma, added = parts("hue")
    torch.testing.assert_close(grey, ONE)
    torch.testing.assert_close(chroma @ chroma.mT, SAME)
    torch.testing.assert_close(chroma.det(), ONE)
    angle = chroma[:, 1, 0].atan2(chroma[:, 0, 0])
    standard = (angle.remainder(2 * math.pi) / (2 * math.pi)).sort().values
    assert (standard - torch.linspace(0, 1, MANY)).abs().max() < 0.03  # Kolmogorov-Smirnov
    assert not added.any()


def test_saturation() -> None:
    grey, chroma, added = parts("saturation")
    torch.testing.assert_close(grey, ONE)
    torch.testing.assert_close(chroma, chroma[:, :1, :1] * SAME)
    check_normal(chroma[:, 0, 0].log2(), 1.0)
    assert not added.any()


def test_images_of_each_kind() -> None:
    signed = ImageRange("signed")
    x = torch.rand(MANY, 3, 2, 3, dtype=torch.float64) * 2 - 1
    matrix = drawn("contrast") @ drawn("luma_flip") @ drawn("hue") @ drawn("brightness")
    y = recolour(x, matrix, signed)
    ones = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
    expected = torch.einsum("nij,njhw->nihw", matrix, ones)[:, :3]
    torch.testing.assert_close(y, expected)
    unit = recolour(x / 2 + 0.5, matrix, ImageRange("unit"))
    torch.testing.assert_close(unit, y / 2 + 0.5)
    opacity = torch.rand(MANY, 1, 2, 3, dtype=torch.float64)
    with_it = recolour(torch.cat([x, opacity], 1), matrix, signed)
    assert torch.equal(with_it, torch.cat([y, opacity], 1))
    grey = recolour(x[:, :1], matrix, signed)
    expected = recolour(x[:, :1].expand(-1, 3, -1, -1), matrix, signed).mean(1, keepdim=True)
    torch.testing.assert_close(grey, expected)
    with pytest.raises(ValueError, match=r"1, 3 or 4 channels; got 2"):
        recolour(x[:, :2], matrix, signed)
