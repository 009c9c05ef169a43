"""Local attention against the plainest form: every neighbourhood cut out by `unfold`."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fpainter.nn.attention import MixedAttention, linear_attention, local_attention


def by_unfolding(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    batch, heads, height, width, d_head = q.shape

    def neighbourhoods(m: Tensor) -> Tensor:
        maps = m.reshape(batch * heads, height, width, d_head).permute(0, 3, 1, 2)
        cut = F.unfold(maps, 3, padding=1).reshape(batch, heads, d_head, 9, height, width)
        return cut.permute(0, 1, 4, 5, 3, 2)  # [B N H W 9 D]

    scores = (neighbourhoods(k) * q.unsqueeze(-2)).sum(-1) / d_head**0.5
    return (scores.softmax(-1).unsqueeze(-1) * neighbourhoods(v)).sum(-2)


@pytest.mark.parametrize("size", [(2, 3, 8, 8, 4), (1, 1, 5, 7, 3), (1, 2, 1, 4, 2)], ids=str)
def test_local_attention_equals_unfolding_to_the_second_derivative(
    size: tuple[int, ...],
) -> None:
    q, k, v = (torch.randn(size, dtype=torch.float64, requires_grad=True) for _ in range(3))
    results = []
    for attend in (local_attention, by_unfolding):
        out = attend(q, k, v)
        first = torch.autograd.grad(out.sin().sum(), [q, k, v], create_graph=True)
        norm = torch.stack([g.square().sum() for g in first]).sum()
        results.append([out, *first, *torch.autograd.grad(norm, [q, k, v])])
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-10)


def test_linear_attention_equals_attending_to_every_pixel() -> None:
    q, k, v = (torch.randn(2, 2, 3, 4, 5, dtype=torch.float64) for _ in range(3))
    flat_q, flat_k, flat_v = (m.flatten(2, 3) for m in (q, k, v))
    weights = torch.einsum(
        "bnid,bnjd->bnij", flat_q.softmax(-1) / 5**0.5, flat_k.softmax(-2)
    )  # [B N pixels pixels]
    expected = (weights @ flat_v).unflatten(2, (3, 4))
    torch.testing.assert_close(linear_attention(q, k, v), expected)


def test_gradient_reaches_every_parameter() -> None:
    layer = MixedAttention(6, num_heads=2, d_head=4)
    layer(torch.randn(2, 6, 4, 4)).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
