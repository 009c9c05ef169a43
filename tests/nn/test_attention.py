"""Attention against its plainest forms."""

import pytest
import torch

from fpainter.benchmarks.released import as_released
from fpainter.nn.attention import (
    ChannelNorm,
    MixedAttention,
    gather_context,
    linear_attention,
    local_attention,
)
from fpainter.ops import naive


@pytest.mark.parametrize(
    ("size", "radius"),
    [((2, 8, 8, 3, 4), 1), ((1, 5, 7, 1, 3), 1), ((1, 1, 4, 2, 2), 1), ((2, 6, 3, 2, 3), 2)],
    ids=str,
)
def test_local_attention_equals_cutting_out_neighbourhoods_to_the_second_derivative(
    size: tuple[int, ...], radius: int
) -> None:
    q, k, v = (torch.randn(size, dtype=torch.float64, requires_grad=True) for _ in range(3))
    results = []
    for attend in (local_attention, naive.local_attention):
        out = attend(q, k, v, radius)
        first = torch.autograd.grad(out.sin().sum(), [q, k, v], create_graph=True)
        norm = torch.stack([g.square().sum() for g in first]).sum()
        results.append([out, *first, *torch.autograd.grad(norm, [q, k, v])])
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-10)


def test_linear_attention_equals_attending_to_every_pixel() -> None:
    q, k, v = (torch.randn(2, 3, 4, 2, 5, dtype=torch.float64) for _ in range(3))
    flat_q, flat_k, flat_v = (m.flatten(1, 2) for m in (q, k, v))
    weights = torch.einsum(
        "bind,bjnd->bnij", flat_q.softmax(-1) / 5**0.5, flat_k.softmax(1)
    )  # [B N pixels pixels]
    expected = torch.einsum("bnij,bjnd->bind", weights, flat_v).unflatten(1, (3, 4))
    torch.testing.assert_close(linear_attention(q, gather_context(k, v)), expected)
    shared = v[..., :1, :].expand_as(v)
    torch.testing.assert_close(gather_context(k, v[..., :1, :]), gather_context(k, shared))


def test_channels_of_a_pixel_are_normalised() -> None:
    norm, x = ChannelNorm(5), 0.01 * torch.randn(2, 5, 3, 4)  # at which epsilon counts
    torch.nn.init.normal_(norm.gain)
    torch.nn.init.normal_(norm.shift)
    centred = x - x.mean(1, keepdim=True)
    scaled = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(norm(x), norm.gain * scaled + norm.shift)


def test_large_keys_do_not_overflow() -> None:
    k, v = 200 * torch.randn(2, 3, 4, 2, 5), torch.randn(2, 3, 4, 2, 5)
    weights = k.flatten(1, 2).softmax(1)
    expected = torch.einsum("bpnd,bpne->bnde", weights, v.flatten(1, 2))
    torch.testing.assert_close(gather_context(k, v), expected)


@pytest.mark.parametrize("channels", [3, 4, 6], ids=["fewer", "as many", "more"])
def test_layer_equals_the_plain_one_whether_pixels_or_heads_are_smaller(channels: int) -> None:
    layer = MixedAttention(channels, num_heads=2, d_head=4).double()
    x = torch.randn(2, channels, 5, 6, dtype=torch.float64, requires_grad=True)
    results = []
    for attend in (layer, as_released(layer)):
        weights = [dict(attend.named_parameters())[name] for name, _ in layer.named_parameters()]
        out = attend(x)
        first = torch.autograd.grad(out.sin().sum(), [x, *weights], create_graph=True)
        norm = torch.stack([g.square().sum() for g in first]).sum()
        results.append([out, *first, *torch.autograd.grad(norm, [x, *weights])])
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_gradient_reaches_every_parameter(layout: torch.memory_format) -> None:
    layer = MixedAttention(6, num_heads=2, d_head=4)
    layer(torch.randn(2, 6, 4, 4).contiguous(memory_format=layout)).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("channels", [4, 6], ids=["pixels smaller", "heads smaller"])
def test_half_precision(channels: int) -> None:
    layer = MixedAttention(channels, num_heads=2, d_head=4)
    x = torch.randn(2, channels, 5, 6)
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(x), expected, rtol=0.05, atol=0.05)
    got = layer.bfloat16()(x.bfloat16())
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), expected, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("channels", [4, 6], ids=["pixels smaller", "heads smaller"])
def test_compilers_can_follow(channels: int) -> None:
    layer = MixedAttention(channels, num_heads=2, d_head=4)
    x = torch.randn(2, channels, 5, 6)
    traced = torch.compile(layer, backend="eager")
    torch.testing.assert_close(traced(x), layer(x))
