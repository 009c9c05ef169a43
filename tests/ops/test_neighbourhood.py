"""The products of neighbourhood attention: by hand, as transposes, over slices, on small maps."""

from functools import partial

import pytest
import torch
from torch import Tensor

from fpainter.ops import neighbourhood
from fpainter.ops.neighbourhood import gather_values, scatter_values, scores

SIZE = (3, 4, 5, 2, 3)  # B H W N D


def neighbours(a: Tensor, radius: int) -> Tensor:
    """Copy out each pixel's neighbours [S B H W N D] from a map with zeros around it."""
    batch, height, width, heads, d = a.shape
    padded = a.new_zeros(batch, height + 2 * radius, width + 2 * radius, heads, d)
    padded[:, radius : radius + height, radius : radius + width] = a
    sides = range(2 * radius + 1)
    return torch.stack([padded[:, i : i + height, j : j + width] for i in sides for j in sides])


def test_scores_read_neighbours_in_reading_order_and_zeros_beyond_the_border() -> None:
    a = torch.ones(1, 2, 2, 1, 1)
    b = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 2, 2, 1, 1)
    of_the_first_pixel = scores(a, b)[:, 0, 0, 0, 0]
    torch.testing.assert_close(of_the_first_pixel, torch.tensor([0.0, 0, 0, 0, 1, 2, 0, 3, 4]))


def test_scattering_is_the_transpose_of_gathering() -> None:
    p = torch.randn(9, *SIZE[:-1], dtype=torch.float64)
    a, b = (torch.randn(SIZE, dtype=torch.float64) for _ in range(2))
    torch.testing.assert_close((gather_values(p, a) * b).sum(), (a * scatter_values(p, b)).sum())


@pytest.mark.parametrize("radius", [1, 2])
def test_slices_of_the_batch_change_nothing(radius: int, monkeypatch: pytest.MonkeyPatch) -> None:
    p = torch.randn((2 * radius + 1) ** 2, *SIZE[:-1])
    a, b = torch.randn(SIZE), torch.randn(SIZE)

    def results() -> list[torch.Tensor]:
        return [scores(a, b, radius), gather_values(p, a, radius), scatter_values(p, a, radius)]

    whole = results()
    monkeypatch.setattr(neighbourhood, "_CACHED", 2 * a[0].numel())  # two images, then one
    for got, expected in zip(results(), whole, strict=True):
        assert torch.equal(got, expected)


@pytest.mark.parametrize("size", [(1, 1, 1, 1, 2), (2, 3, 1, 2, 2)], ids=str)
def test_derivatives_of_both_orders(size: tuple[int, ...]) -> None:
    a, b = (torch.randn(size, dtype=torch.float64, requires_grad=True) for _ in range(2))
    p = torch.randn(9, *size[:-1], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(scores, (a, b))
    assert torch.autograd.gradgradcheck(scores, (a, b))
    for op in (gather_values, scatter_values):
        assert torch.autograd.gradcheck(op, (p, a))
        assert torch.autograd.gradgradcheck(op, (p, a))


@pytest.mark.parametrize(
    ("size", "radius"),
    [((2, 3, 3, 1, 2), 5), ((1, 2, 7, 2, 2), 3), ((1, 6, 1, 1, 2), 2), ((2, 2, 3, 1, 2), 0)],
    ids=str,
)
def test_neighbours_beyond_the_map_are_zero(size: tuple[int, ...], radius: int) -> None:
    a, b = (torch.randn(size, dtype=torch.float64, requires_grad=True) for _ in range(2))
    p = torch.randn((2 * radius + 1) ** 2, *size[:-1], dtype=torch.float64, requires_grad=True)
    found, sums = scores(a, b, radius), gather_values(p, b, radius)
    torch.testing.assert_close(found, (a * neighbours(b, radius)).sum(dim=-1))
    torch.testing.assert_close(sums, (p.unsqueeze(-1) * neighbours(b, radius)).sum(dim=0))
    torch.testing.assert_close((sums * a).sum(), (b * scatter_values(p, a, radius)).sum())
    for op, operands in ((scores, (a, b)), (gather_values, (p, b)), (scatter_values, (p, b))):
        at_radius = partial(op, radius=radius)
        assert torch.autograd.gradcheck(at_radius, operands, fast_mode=True)
        assert torch.autograd.gradgradcheck(at_radius, operands, fast_mode=True)


@pytest.mark.parametrize("size", [(0, 3, 4, 2, 3), (2, 0, 4, 2, 3), (2, 3, 4, 0, 3)], ids=str)
def test_empty_maps(size: tuple[int, ...]) -> None:
    a, b = (torch.randn(size, dtype=torch.float64, requires_grad=True) for _ in range(2))
    p = torch.randn(9, *size[:-1], dtype=torch.float64, requires_grad=True)
    for op, operands in ((scores, (a, b)), (gather_values, (p, a)), (scatter_values, (p, a))):
        result = op(*operands)
        assert result.shape == (p.shape if op is scores else a.shape)
        gradients = torch.autograd.grad(result.sum(), operands)
        assert [g.shape for g in gradients] == [o.shape for o in operands]
