"""Our convolution against torch's: values, layouts, derivatives of both orders, autocast."""

import functools

import pytest
import torch
import torch.nn.functional as F

from fpainter.nn.convolution import Convolution
from fpainter.nn.resample import UpsampledConv
from fpainter.ops.convolution import conv2d

CASES = {
    "3x3": (6, 4, 3, 1, 1, 1),
    "strided": (6, 4, 4, 2, 1, 1),
    "strided, last row unseen": (6, 4, 3, 2, 0, 1),
    "pointwise": (4, 8, 1, 1, 0, 1),
    "depthwise": (4, 4, 3, 1, 1, 4),
    "grouped": (4, 6, 3, 1, 1, 2),
}


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("case", CASES)
def test_equals_torch_to_the_second_derivative(case: str, last: bool) -> None:
    c_in, c_out, size, stride, padding, groups = CASES[case]
    layout = torch.channels_last if last else torch.contiguous_format
    x = torch.randn(2, c_in, 6, 8, dtype=torch.float64).contiguous(memory_format=layout)
    w = torch.randn(c_out, c_in // groups, size, size, dtype=torch.float64)
    bias = torch.randn(c_out, dtype=torch.float64)
    leaves = [leaf.requires_grad_() for leaf in (x, w.contiguous(memory_format=layout), bias)]
    results = []
    for y in (
        conv2d(leaves[0], leaves[1], leaves[2], stride, padding, groups),
        F.conv2d(leaves[0], leaves[1], leaves[2], stride, padding, 1, groups),
    ):
        first = torch.autograd.grad(y.sin().sum(), leaves, create_graph=True)
        norm = torch.stack([g.square().sum() for g in first]).sum()
        results.append([y, *first, *torch.autograd.grad(norm, leaves)])
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)


def test_derivatives_by_differences() -> None:
    leaves = [
        torch.randn(size, dtype=torch.float64, requires_grad=True)
        for size in ((1, 2, 4, 4), (2, 2, 3, 3), (2,))
    ]
    strided = functools.partial(conv2d, stride=2, padding=1)
    assert torch.autograd.gradcheck(strided, leaves)
    assert torch.autograd.gradgradcheck(strided, leaves)


def test_autocast_convolves_in_its_precision_and_returns_float32_gradients() -> None:
    layer, x = Convolution(4, 6, 3, padding=1), torch.randn(2, 4, 5, 5)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
        expected = F.conv2d(x, layer.weight, layer.bias, padding=1)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y, expected)
    y.float().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32


def test_upsampled_convolution_equals_enlarging_first() -> None:
    layer = UpsampledConv(3, 5).double()
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64, requires_grad=True)
    expected = F.conv2d(F.interpolate(x, scale_factor=2), layer.weight, layer.bias, padding=1)
    y = layer(x)
    leaves = [x, *layer.parameters()]
    results = [[out, *torch.autograd.grad(out.sin().sum(), leaves)] for out in (y, expected)]
    for got, wanted in zip(*results, strict=True):
        torch.testing.assert_close(got, wanted)
