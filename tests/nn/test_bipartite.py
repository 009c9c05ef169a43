"""Bipartite attention against the formula written out, receiver by receiver."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fpainter.nn.bipartite import BipartiteAttention, KMeans
from fpainter.nn.equalised import EqualisedLinear

pytestmark = pytest.mark.usefixtures("float64")


def apply(layer: EqualisedLinear, x: Tensor) -> Tensor:
    return F.linear(x, layer.matrix(), layer.offset())


def written_out(
    layer: BipartiteAttention,
    x: Tensor,
    y: Tensor,
    x_positions: Tensor,
    y_positions: Tensor,
) -> tuple[Tensor, Tensor]:
    """Map every receiver to a query and every sender's value to a control; vectors come last."""
    heads = layer.num_heads
    x, y = x.mT, y.mT
    assert layer.query_position is not None
    content = apply(layer.to_query, x).unflatten(2, (heads, -1))  # [B F N d]
    place = apply(layer.query_position, x_positions).unflatten(1, (heads, -1)).expand_as(content)
    value = apply(layer.to_value, y).unflatten(2, (heads, -1))
    d_head = content.shape[-1]
    if layer.kmeans is None:
        assert layer.key_position is not None
        key = apply(layer.to_key, y) + apply(layer.key_position, y_positions)
        key = key.unflatten(2, (heads, -1))
        scores = torch.einsum("bfnd,btnd->bnft", content + place, key)
        attention = (scores / d_head**0.5).softmax(dim=-1)
    else:
        pairs = torch.cat([content, place], dim=-1)
        centroids = layer.centroids.expand(len(x), -1, -1, -1)  # [B N T 2d]
        found = None
        for _ in range(layer.kmeans.iterations):
            if found is not None:
                share = found / (found.sum(dim=2, keepdim=True) + 1e-8)
                centroids = torch.einsum("bnft,bfnd->bntd", share, pairs)
            weighted = centroids * layer.centroid_weight
            scores = torch.einsum("bfnd,bntd->bnft", pairs, weighted)
            found = (scores / d_head**0.5).softmax(dim=-1)
        assert found is not None
        attention = found
    if layer.gate_to is not None:
        gate = layer.gate_to.content(y) + layer.gate_to.position(y_positions)  # type: ignore[misc]
        attention = attention * gate.sigmoid().mT[:, :, None, :]
    if layer.gate_from is not None:
        gate = layer.gate_from.content(x) + layer.gate_from.position(x_positions)  # type: ignore[misc]
        attention = attention * (gate + 1).sigmoid().mT[:, :, :, None]
    control = apply(layer.to_control, torch.einsum("bnft,btnd->bfnd", attention, value).flatten(2))
    axis = {1: 2, 2: 1}.get(layer.norm_axis or 0)
    if axis and layer.integration in ("add", "both"):
        x = x - x.mean(dim=axis, keepdim=True)
    if axis and layer.integration in ("mul", "both"):
        x = x / (x.square().mean(dim=axis, keepdim=True) + 1e-8).sqrt()
    none = torch.zeros(())
    gain, shift = {
        "add": (none, control),
        "mul": (control, none),
        "both": (control[..., : x.shape[2]], control[..., x.shape[2] :]),
    }[layer.integration]
    return ((1 + gain) * x + shift).mT, attention.mT


@pytest.mark.parametrize("kmeans", [None, KMeans(3), KMeans(3, 3)], ids=str)
@pytest.mark.parametrize("integration", ["add", "mul", "both"])
@pytest.mark.parametrize("norm", ["layer", "instance", None])
def test_is_the_formula(kmeans: KMeans | None, integration: str, norm: str | None) -> None:
    heads = 1 if norm == "layer" else 2
    layer = BipartiteAttention(
        6, 5, 4, 4, heads, integration, norm, norm is None, norm != "layer", kmeans=kmeans
    )
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    x, y = torch.randn(2, 6, 7, requires_grad=True), torch.randn(2, 5, 3, requires_grad=True)
    inputs = x, y, torch.randn(7, 4), torch.randn(3, 4)
    results = []
    for modulated, attention in (layer(*inputs), written_out(layer, *inputs)):
        total = (modulated * torch.linspace(-1, 1, modulated.numel()).view_as(modulated)).sum()
        variables = [x, y, *layer.parameters()]
        gradients = torch.autograd.grad(total, variables, allow_unused=True)
        results.append([modulated, attention, *(g for g in gradients if g is not None)])
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected)


def test_dropout_is_for_training() -> None:
    layer = BipartiteAttention(4, 4, dropout=0.5)
    x, y = torch.randn(1, 4, 9), torch.randn(1, 4, 3)
    assert not torch.equal(layer(x, y)[1], layer(x, y)[1])
    assert torch.equal(layer.eval()(x, y)[1], layer(x, y)[1])


def test_options_are_named() -> None:
    with pytest.raises(ValueError, match="num_heads must divide the 6 channels; got 4"):
        BipartiteAttention(6, 6, num_heads=4)
    with pytest.raises(ValueError, match="integration must be one of"):
        BipartiteAttention(6, 6, integration="full")
    with pytest.raises(ValueError, match="norm must be one of"):
        BipartiteAttention(6, 6, norm="batch")
