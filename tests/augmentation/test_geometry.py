"""Changes of places: what each does to pictures, how they are drawn, and one interpolation."""

import math

import pytest
import torch
from torch import Tensor

from fpainter.augmentation.affine import affine, compose
from fpainter.augmentation.geometry import GEOMETRY, warp

MANY = 4000


def identity(x: Tensor) -> Tensor:
    return torch.eye(3, dtype=x.dtype).expand(len(x), 3, 3)


def cubic(distance: float) -> float:
    """Keys' kernel with a = -3/4."""
    d = abs(distance)
    if d <= 1:
        return 1.25 * d**3 - 2.25 * d**2 + 1
    return -0.75 * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0.0


def mirrored(index: int, size: int) -> int:
    index %= 2 * size
    return min(index, 2 * size - 1 - index)


def slow_warp(x: Tensor, matrix: Tensor) -> Tensor:
    """One image [C H W], pixel by pixel."""
    _, height, width = x.shape
    y = torch.zeros_like(x)
    for row in range(height):
        for column in range(width):
            place = torch.tensor([row - (height - 1) / 2, column - (width - 1) / 2, 1]).double()
            r, c, _ = (matrix @ place).tolist()
            r, c = r + (height - 1) / 2, c + (width - 1) / 2
            for i in range(math.floor(r) - 1, math.floor(r) + 3):
                for j in range(math.floor(c) - 1, math.floor(c) + 3):
                    pixel = x[:, mirrored(i, height), mirrored(j, width)]
                    y[:, row, column] += cubic(r - i) * cubic(c - j) * pixel
    return y


@pytest.mark.parametrize("size", [(4, 7), (1, 5)], ids=str)
def test_warping_is_bicubic_and_reflects(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    places = identity(x) + torch.randn(2, 3, 3, dtype=torch.float64)
    expected = torch.stack(
        [slow_warp(image, matrix) for image, matrix in zip(x, places, strict=True)]
    )
    torch.testing.assert_close(warp(x, places), expected)


def test_pixels_stay_pixels() -> None:
    """Flips, quarter turns and whole shifts, in the directions and as far as they say."""
    torch.manual_seed(0)
    x = torch.randn(1, 2, 16, 16, dtype=torch.float64).expand(200, -1, -1, -1)
    flips = [x[0], x[0].flip(2)]
    turns = [x[0].rot90(quarters, (1, 2)) for quarters in range(4)]
    shifts = [
        torch.cat([x[0], x[0].flip(1)], 1).roll(down, 1)[:, :16]
        for down in range(-2, 3)
    ]  # fmt: skip
    for name, expected in (("mirror", flips), ("quarter_turn", turns), ("whole_shift", shifts)):
        places = GEOMETRY[name](x)
        if name == "whole_shift":
            places[:, 1, 2] = 0  # the columns move alike
        moved = warp(x, places)
        found = [(moved - one).flatten(1).abs().amax(1) < 1e-9 for one in expected]
        assert torch.stack(found).sum(0).eq(1).all()
        assert all(each.any() for each in found)


def test_both_axes_shift_by_an_eighth_at_most() -> None:
    moved = GEOMETRY["whole_shift"](torch.zeros(MANY, 1, 16, 32))[:, :2, 2]
    assert moved.amin(0).tolist() == [-2, -4]
    assert moved.amax(0).tolist() == [2, 4]
    assert torch.equal(moved, moved.round())
    assert abs(moved.T.corrcoef()[0, 1].item()) < 5 / MANY**0.5


def test_derivatives() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    places = compose(GEOMETRY["rotation"](x), GEOMETRY["shift"](x))

    def function(x: Tensor) -> Tensor:
        return warp(x, places).pow(3)

    assert torch.autograd.gradcheck(function, (x,))
    assert torch.autograd.gradgradcheck(function, (x,))


def images() -> Tensor:
    torch.manual_seed(0)
    return torch.zeros(MANY, 1, 4, 6)


def test_half_are_mirrored() -> None:
    places = GEOMETRY["mirror"](images())
    columns = places[:, 1, 1].clone()
    places[:, 1, 1] = 1
    assert torch.equal(places, identity(images()))
    assert (columns.abs() == 1).all()
    assert abs((columns == -1).float().mean().item() - 0.5) < 5 * 0.5 / MANY**0.5


@pytest.mark.parametrize(("name", "sign"), [("scale", 1), ("stretch", -1)])
def test_scales_are_log_normal(name: str, sign: int) -> None:
    places = GEOMETRY[name](images())
    octaves = places[:, 0, 0].log2()
    torch.testing.assert_close(places[:, 1, 1].log2(), sign * octaves, rtol=1e-3, atol=1e-5)
    assert abs(octaves.mean().item()) < 5 * 0.2 / MANY**0.5
    assert octaves.std().item() == pytest.approx(0.2, rel=0.06)


def test_shifts_are_shares_of_the_sides() -> None:
    moved = GEOMETRY["shift"](images())[:, :2, 2]
    assert moved.std(dim=0).tolist() == pytest.approx([4 / 8, 6 / 8], rel=0.06)
    assert moved.mean(dim=0).abs().max().item() < 5 * 0.75 / MANY**0.5
    assert abs(moved.T.corrcoef()[0, 1].item()) < 5 / MANY**0.5


def test_rotations_turn_by_any_angle_and_keep_distances() -> None:
    turned = GEOMETRY["rotation"](images())[:, :2, :2]
    torch.testing.assert_close(turned @ turned.mT, torch.eye(2).expand(MANY, 2, 2))
    torch.testing.assert_close(turned.det(), torch.ones(MANY))
    angle = turned[:, 1, 0].atan2(turned[:, 0, 0])
    standard = (angle.remainder(2 * math.pi) / (2 * math.pi)).sort().values
    assert (standard - torch.linspace(0, 1, MANY)).abs().max() < 0.03  # Kolmogorov-Smirnov


def test_matrices_are_multiplied() -> None:
    first, second = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(compose(first, second), first @ second)
    entry = torch.tensor([5.0, 7.0]).view(2, 1, 1, 1)
    expected = torch.tensor([[[1.0, 5], [0, 1]], [[1, 7], [0, 1]]])
    assert torch.equal(affine(torch.zeros(2, 1), [[1, entry]]), expected)
