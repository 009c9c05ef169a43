"""The three maps between pixels and their neighbours: by hand, as transposes, over slices."""

import pytest
import torch

from fpainter.ops import neighbourhood
from fpainter.ops.neighbourhood import dot, spread, weigh

SIZE = (3, 4, 5, 2, 3)  # B H W N D


def test_dot_reads_neighbours_in_reading_order_and_zeros_beyond_the_border() -> None:
    a = torch.ones(1, 2, 2, 1, 1)
    b = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 2, 2, 1, 1)
    of_the_first_pixel = dot(a, b)[:, 0, 0, 0, 0]
    torch.testing.assert_close(of_the_first_pixel, torch.tensor([0.0, 0, 0, 0, 1, 2, 0, 3, 4]))


def test_spread_is_the_transpose_of_weigh() -> None:
    p = torch.randn(9, *SIZE[:-1], dtype=torch.float64)
    a, b = (torch.randn(SIZE, dtype=torch.float64) for _ in range(2))
    torch.testing.assert_close((weigh(p, a) * b).sum(), (a * spread(p, b)).sum())


@pytest.mark.parametrize("radius", [1, 2])
def test_slices_of_the_batch_change_nothing(radius: int, monkeypatch: pytest.MonkeyPatch) -> None:
    p = torch.randn((2 * radius + 1) ** 2, *SIZE[:-1])
    a, b = torch.randn(SIZE), torch.randn(SIZE)

    def results() -> list[torch.Tensor]:
        return [dot(a, b, radius), weigh(p, a, radius), spread(p, a, radius)]

    whole = results()
    monkeypatch.setattr(neighbourhood, "_CACHED", 2 * a[0].numel())  # two images, then one
    for got, expected in zip(results(), whole, strict=True):
        assert torch.equal(got, expected)


@pytest.mark.parametrize("size", [(1, 1, 1, 1, 2), (2, 3, 1, 2, 2)], ids=str)
def test_derivatives_of_both_orders(size: tuple[int, ...]) -> None:
    a, b = (torch.randn(size, dtype=torch.float64, requires_grad=True) for _ in range(2))
    p = torch.randn(9, *size[:-1], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(dot, (a, b))
    assert torch.autograd.gradgradcheck(dot, (a, b))
    for op in (weigh, spread):
        assert torch.autograd.gradcheck(op, (p, a))
        assert torch.autograd.gradgradcheck(op, (p, a))
