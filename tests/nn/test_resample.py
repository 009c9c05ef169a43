"""Filtered resampling against zeros, filter and convolution one after the other."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fpainter.nn.resample import convolve_down, convolve_up, smooth_down, smooth_up

pytestmark = pytest.mark.usefixtures("float64")


def filtered(x: Tensor, gain: float) -> Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = (torch.outer(taps, taps) / 64 * gain).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(x, kernel, groups=x.shape[1])


def doubled(x: Tensor, before: int, after: int) -> Tensor:
    """Put zeros behind each pixel, pad and filter."""
    height, width = x.shape[2:]
    spread = x.new_zeros(*x.shape[:2], 2 * height, 2 * width)
    spread[..., ::2, ::2] = x
    return filtered(F.pad(spread, (before, after, before, after)), 4)


@pytest.mark.parametrize("size", [(4, 4), (5, 8), (1, 3)], ids=str)
def test_up(size: tuple[int, int]) -> None:
    x, large, small = torch.randn(2, 3, *size), torch.randn(4, 3, 3, 3), torch.randn(4, 3, 1, 1)
    torch.testing.assert_close(smooth_up(x), doubled(x, 2, 1))
    torch.testing.assert_close(convolve_up(x, small), F.conv2d(doubled(x, 2, 1), small))
    expected = F.conv2d(doubled(x, 3, 2), large.flip(2, 3))
    torch.testing.assert_close(convolve_up(x, large), expected)


@pytest.mark.parametrize("size", [(4, 4), (6, 8), (2, 4)], ids=str)
def test_down(size: tuple[int, int]) -> None:
    x, large, small = torch.randn(2, 3, *size), torch.randn(4, 3, 3, 3), torch.randn(4, 3, 1, 1)
    halved = filtered(F.pad(x, (1, 1, 1, 1)), 1)[..., ::2, ::2]
    torch.testing.assert_close(smooth_down(x), halved)
    torch.testing.assert_close(convolve_down(x, small), F.conv2d(halved, small))
    expected = F.conv2d(filtered(F.pad(x, (2, 2, 2, 2)), 1), large, stride=2)
    torch.testing.assert_close(convolve_down(x, large), expected)


def test_second_derivatives() -> None:
    x, weight = (torch.randn(*s, requires_grad=True) for s in ((1, 2, 2, 3), (2, 2, 3, 3)))
    assert torch.autograd.gradgradcheck(convolve_up, (x, weight))
    x = torch.randn(1, 2, 2, 4, requires_grad=True)
    assert torch.autograd.gradgradcheck(convolve_down, (x, weight))


def test_narrow_numbers_are_resampled_in_float32() -> None:
    x = torch.randn(2, 3, 4, 6).bfloat16()
    assert torch.equal(smooth_up(x), smooth_up(x.float()).bfloat16())
