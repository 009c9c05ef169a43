"""Attention over feature maps: linear (global) and local (3×3 neighbourhoods) side by side."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from fpainter.nn.convolution import Convolution
from fpainter.ops import heads, neighbourhood
from fpainter.ops.convolution import conv2d


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
        pixels = x.permute(0, 2, 3, 1)
        gain, shift = self.gain.flatten(), self.shift.flatten()
        return F.layer_norm(pixels, gain.shape, gain, shift, self.eps).permute(0, 3, 1, 2)


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
        self.linear_q = Convolution(channels, d_inner, 1, bias=False)
        self.linear_kv = nn.Sequential(
            Convolution(channels, channels, 3, padding=1, groups=channels, bias=False),
            Convolution(channels, 2 * d_inner, 1, bias=False),
        )
        self.local_q = Convolution(channels, d_inner, 1, bias=False)
        self.local_kv = Convolution(channels, 2 * d_inner, 1, bias=False)
        self.to_out = Convolution(2 * d_inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Attend over x [B C H W]; the result has the same shape."""
        normed = self.norm(x)
        depthwise, pointwise = self.linear_kv.children()
        everywhere = linear_attention(
            self._heads(self.linear_q(normed)), *self._two_heads(pointwise, depthwise(normed))
        )
        nearby = local_attention(
            self._heads(self.local_q(normed)), *self._two_heads(self.local_kv, normed)
        )
        # Each half of the output's weights takes its own, which spares putting them together.
        of_everywhere, of_nearby = self.to_out.weight.chunk(2, dim=1)
        x = x + conv2d(_merged(F.gelu(everywhere)), of_everywhere, self.to_out.bias)
        return x + conv2d(_merged(nearby), of_nearby)

    def _heads(self, x: Tensor) -> Tensor:
        """Split a map into heads [B H W N D]."""
        return rearrange(x, "b (n d) h w -> b h w n d", n=self.num_heads)

    def _two_heads(self, convolution: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute keys and values apart, which spares copying their gradients together."""
        assert isinstance(convolution.weight, Tensor)
        k, v = convolution.weight.chunk(2)
        return self._heads(conv2d(x, k)), self._heads(conv2d(x, v))


def _merged(x: Tensor) -> Tensor:
    return rearrange(x, "b h w n d -> b (n d) h w")


def linear_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend to all pixels at a cost linear in their number.

    Queries are normalised over channels, keys over pixels.

    Args:
        q: queries [B H W N D].
        k: keys [B H W N D].
        v: values [B H W N D].

    Returns:
        [B H W N D].

    Source: Shen et al. 2021, *Efficient Attention*.
    """
    places, d_head = q.shape[1:3], q.shape[-1]
    q, k, v = (m.flatten(1, 2) for m in (q, k, v))  # [B H·W N D]
    # The softmax of the keys is divided out of the small context, not out of the keys: fewer
    # operations on whole maps, in each derivative.
    weight = (k - k.detach().amax(dim=1, keepdim=True)).exp_()
    context = heads.gather(weight, v) * (d_head**-0.5 / weight.sum(dim=1)).unsqueeze(-1)
    # Autocast computes some of this in float32.
    query, context = q.softmax(dim=-1).to(v.dtype), context.to(v.dtype)
    return heads.look_up(query, context).unflatten(1, places)


def local_attention(q: Tensor, k: Tensor, v: Tensor, radius: int = 1) -> Tensor:
    """Attend to the (2·radius+1)² neighbourhood of each pixel.

    Beyond the border keys and values are zero and take part in the softmax.

    Args:
        q: queries [B H W N D].
        k: keys [B H W N D].
        v: values [B H W N D].
        radius: pixels to each side.

    Returns:
        [B H W N D].
    """
    scores = neighbourhood.dot(q, k, radius) * q.shape[-1] ** -0.5  # [S B H W N]
    return neighbourhood.weigh(scores.softmax(dim=0).to(v.dtype), v, radius)
