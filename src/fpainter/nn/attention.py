"""Attention over feature maps: linear (global) and local (3×3 neighbourhoods) side by side."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


class ChannelNorm(nn.Module):
    """Normalise each pixel over its channels, then scale and shift each channel.

    Args:
        channels: channels C of [B C H W].
        eps: added to the variance.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.gain = nn.Parameter(torch.ones(channels, 1, 1))
        self.shift = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x [B C H W]."""
        variance, mean = torch.var_mean(x, dim=1, correction=0, keepdim=True)
        return (x - mean) * (variance + self.eps).rsqrt() * self.gain + self.shift


class MixedAttention(nn.Module):
    """Linear attention over the whole map beside softmax attention over 3×3 neighbourhoods.

    Both have `num_heads` heads of `d_head`; their outputs are concatenated and projected back.
    The layer normalises what it reads and adds its result to its input.

    Args:
        channels: channels C of [B C H W].
        num_heads: heads of each kind.
        d_head: channels of a head.

    Source: the LightGAN discriminator of lucidrains' lightweight-gan 0.23.
    """

    def __init__(self, channels: int, num_heads: int = 8, d_head: int = 64) -> None:
        super().__init__()
        self.num_heads = num_heads
        d_inner = num_heads * d_head
        self.norm = ChannelNorm(channels)
        self.linear_q = nn.Conv2d(channels, d_inner, 1, bias=False)
        self.linear_kv = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.Conv2d(channels, 2 * d_inner, 1, bias=False),
        )
        self.local_q = nn.Conv2d(channels, d_inner, 1, bias=False)
        self.local_kv = nn.Conv2d(channels, 2 * d_inner, 1, bias=False)
        self.to_out = nn.Conv2d(2 * d_inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Attend over x [B C H W]; the result has the same shape."""
        normed = self.norm(x)
        everywhere = linear_attention(*self._heads(self.linear_q(normed), self.linear_kv(normed)))
        nearby = local_attention(*self._heads(self.local_q(normed), self.local_kv(normed)))
        merged = torch.cat([F.gelu(everywhere), nearby], dim=1)  # [B 2·N H W D]
        return x + self.to_out(rearrange(merged, "b n h w d -> b (n d) h w"))

    def _heads(self, q: Tensor, kv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Split maps of queries, and of keys and values together, into heads [B N H W D]."""
        k, v = rearrange(kv, "b (two n d) h w -> two b n h w d", two=2, n=self.num_heads)
        return rearrange(q, "b (n d) h w -> b n h w d", n=self.num_heads), k, v


def linear_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend to all pixels at a cost linear in their number.

    Queries are normalised over channels, keys over pixels.

    Args:
        q: queries [B N H W D].
        k: keys [B N H W D].
        v: values [B N H W D].

    Returns:
        [B N H W D].

    Source: Shen et al. 2021, *Efficient Attention*.
    """
    height, width, d_head = q.shape[2:]
    q, k, v = (rearrange(m, "b n h w d -> b n (h w) d") for m in (q, k, v))
    context = k.softmax(dim=-2).mT @ v  # [B N D D]
    attended = (q.softmax(dim=-1) * d_head**-0.5) @ context
    return rearrange(attended, "b n (h w) d -> b n h w d", h=height, w=width)


def local_attention(q: Tensor, k: Tensor, v: Tensor, radius: int = 1) -> Tensor:
    """Attend to the (2·radius+1)² neighbourhood of each pixel.

    Beyond the border keys and values are zero and take part in the softmax. Keys and values are
    gathered by whole rows, (2·radius+1) copies of each instead of (2·radius+1)², and a band mask
    keeps each query to its own columns.

    Args:
        q: queries [B N H W D].
        k: keys [B N H W D].
        v: values [B N H W D].
        radius: pixels to each side.

    Returns:
        [B N H W D].
    """
    size = 2 * radius + 1
    width, d_head = q.shape[3:]
    border = (0, 0, radius, radius, radius, radius)
    rows = [
        rearrange(F.pad(m, border).unfold(2, size, 1), "b n h w d r -> b n h (r w) d")
        for m in (k, v)
    ]
    offset = torch.arange(width + 2 * radius, device=q.device) - torch.arange(
        width, device=q.device
    ).unsqueeze(1)
    outside = ((offset < 0) | (offset >= size)).repeat(1, size)  # [W r·(W+2·radius)]
    scores = (q * d_head**-0.5) @ rows[0].mT  # [B N H W r·(W+2·radius)]
    return scores.masked_fill(outside, -torch.inf).softmax(dim=-1) @ rows[1]
