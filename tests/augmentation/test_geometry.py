"""Warping against torch's own interpolation, and what each change does with places."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fpainter.augmentation.geometry import GEOMETRY, places, warp

MANY = 4000


def middle_out(p: Tensor) -> tuple[Tensor, Tensor]:
    """Return two linear coefficients of each image's places: rows by row, columns by column."""
    rows = (p[:, 0, -1, 0] - p[:, 0, 0, 0]) / (p.shape[2] - 1)
    columns = (p[:, 1, 0, -1] - p[:, 1, 0, 0]) / (p.shape[3] - 1)
    return rows, columns


@pytest.mark.parametrize("size", [(6, 9), (1, 4), (8, 8)], ids=str)
def test_warping_is_bilinear_and_reflects(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    height, width = size
    x = torch.randn(5, 3, height, width, dtype=torch.float64)
    p = places(x) * 1.7 + torch.randn(5, 2, height, width, dtype=torch.float64)
    halves = torch.tensor([width / 2, height / 2], dtype=torch.float64)
    grid = p.flip(1).permute(0, 2, 3, 1) / halves
    expected = F.grid_sample(x, grid, "bilinear", "reflection", align_corners=False)
    torch.testing.assert_close(warp(x, p), expected)


def test_where_a_place_is_a_pixels_the_pixel_is_exact() -> None:
    for size in (7, 8):
        x = torch.randn(2, 3, size, 9)
        p = places(x)
        assert torch.equal(warp(x, p), x)
        mirrored = torch.cat([p[:, :1], -p[:, 1:]], dim=1)
        assert torch.equal(warp(x, mirrored), x.flip(3))
        beyond = warp(x, p + torch.tensor([2.0, 0.0]).view(1, 2, 1, 1))
        assert torch.equal(beyond, torch.cat([x[:, :, 2:], x[:, :, -2:].flip(2)], dim=2))


@pytest.mark.parametrize("name", GEOMETRY)
def test_derivatives(name: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    p = GEOMETRY[name](places(x))

    def function(x: Tensor) -> Tensor:
        return warp(x, p).pow(3)

    assert torch.autograd.gradcheck(function, (x,))
    assert torch.autograd.gradgradcheck(function, (x,))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_dtypes_stay(dtype: torch.dtype) -> None:
    x = torch.randn(2, 3, 5, 6, dtype=dtype)
    p = GEOMETRY["rotation"](places(x))
    assert p.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert warp(x, p).dtype == dtype
        assert torch.equal(warp(x, places(x)), x)


def images() -> Tensor:
    torch.manual_seed(0)
    return torch.zeros(MANY, 1, 4, 6)


def test_half_are_mirrored() -> None:
    rows, columns = middle_out(GEOMETRY["mirror"](places(images())))
    assert (rows == 1).all()
    assert (columns.abs() == 1).all()
    assert abs((columns == -1).float().mean().item() - 0.5) < 5 * 0.5 / MANY**0.5


@pytest.mark.parametrize(("name", "sign"), [("scale", 1), ("stretch", -1)])
def test_scales_are_log_normal(name: str, sign: int) -> None:
    rows, columns = middle_out(GEOMETRY[name](places(images())))
    octaves = rows.log2()
    torch.testing.assert_close(columns.log2(), sign * octaves, rtol=1e-3, atol=1e-5)
    assert abs(octaves.mean().item()) < 5 * 0.2 / MANY**0.5
    assert octaves.std().item() == pytest.approx(0.2, rel=0.06)


def test_shifts_are_shares_of_the_sides() -> None:
    before = places(images())
    moved = (GEOMETRY["shift"](before) - before)[:, :, 0, 0]
    assert moved.std(dim=0).tolist() == pytest.approx([4 / 8, 6 / 8], rel=0.06)
    assert moved.mean(dim=0).abs().max().item() < 5 * 0.75 / MANY**0.5
    assert abs(moved.T.corrcoef()[0, 1].item()) < 5 / MANY**0.5


def test_rotations_turn_by_any_angle_and_keep_distances() -> None:
    before = places(images())
    after = GEOMETRY["rotation"](before)
    torch.testing.assert_close(after.norm(dim=1), before.norm(dim=1))
    corner = before[:, :, 0, 0]
    turned = after[:, :, 0, 0]
    angle = turned[:, 1].atan2(turned[:, 0]) - corner[:, 1].atan2(corner[:, 0])
    standard = (angle.remainder(2 * math.pi) / (2 * math.pi)).sort().values
    assert (standard - torch.linspace(0, 1, MANY)).abs().max() < 0.03  # Kolmogorov-Smirnov
