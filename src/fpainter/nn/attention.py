"""Attention over feature maps: linear (global) and local (3×3 neighbourhoods) side by side."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from fpainter.nn.convolution import Convolution
from fpainter.ops import heads, neighbourhood
from fpainter.ops.convolution import conv2d
from fpainter.ops.precision import full_precision


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
        # Each half of the output's weights maps one of the two, which need not be concatenated.
        out_linear, out_local = self.to_out.weight.chunk(2, dim=1)
        x = x + conv2d(self._attend_linearly(normed), out_linear, self.to_out.bias)
        return x + self._attend_locally(normed, out_local)

    def _attend_linearly(self, x: Tensor) -> Tensor:
        """Return the linear attention [B N·D H W] of x [B C H W]."""
        depthwise, pointwise = self.linear_kv.children()
        seen = depthwise(x)
        assert isinstance(pointwise, Convolution)
        to_key, to_value = pointwise.weight.chunk(2)
        q, k = self._heads(self.linear_q(x)), self._heads(conv2d(seen, to_key))
        # Values are a linear map of `seen`: the pixels are averaged first and the averages mapped.
        pixels = gather_context(k, seen.permute(0, 2, 3, 1).unsqueeze(3))  # [B N D C]
        context = pixels @ self._matrices(to_value).mT
        return _merged(F.gelu(linear_attention(q, context)))

    def _attend_locally(self, x: Tensor, to_out: Tensor) -> Tensor:
        """Return the projected local attention [B C H W] of x [B C H W]."""
        channels, d_inner = to_out.shape[:2]
        to_query = self.local_q.weight
        to_key, to_value = self.local_kv.weight.chunk(2)
        d_head = d_inner // self.num_heads
        if channels > d_head:
            q, k, v = (self._heads(conv2d(x, weight)) for weight in (to_query, to_key, to_value))
            return conv2d(_merged(local_attention(q, k, v)), to_out)
        # Keys and values are linear maps of the pixels, which have fewer channels here and stand in
        # for both: the keys' matrix is applied to the queries, the values' to the output.
        q_of, k_of, v_of, out_of = map(
            self._matrices, (to_query, to_key, to_value, to_out.transpose(0, 1))
        )
        q_from_pixels = _composed(k_of, q_of).flatten(0, 1)  # [N·C C]
        out_from_pixels = _composed(out_of, v_of).transpose(0, 1).flatten(1)  # [C N·C]
        q = self._heads(conv2d(x, q_from_pixels[:, :, None, None].to(x.dtype)))
        pixels = x.to(q.dtype).permute(0, 2, 3, 1).unsqueeze(3).expand_as(q)
        attended = local_attention(q, pixels, pixels, scale=d_head**-0.5)
        return conv2d(_merged(attended), out_from_pixels[:, :, None, None].to(x.dtype))

    def _heads(self, x: Tensor) -> Tensor:
        """Split a map into heads [B H W N D]."""
        return rearrange(x, "b (n d) h w -> b h w n d", n=self.num_heads)

    def _matrices(self, kernel: Tensor) -> Tensor:
        """Split a kernel [N·D C 1 1] into heads [N D C]."""
        return kernel.unflatten(0, (self.num_heads, -1)).flatten(2)


@full_precision
def _composed(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a^T b`` for each head."""
    return a.mT @ b


def _merged(x: Tensor) -> Tensor:
    return rearrange(x, "b h w n d -> b (n d) h w")


def gather_context(k: Tensor, v: Tensor) -> Tensor:
    """Average values over all pixels, weighted by the softmax of each channel of the keys.

    Args:
        k: keys [B H W N D].
        v: values [B H W N E], or [B H W 1 E] shared by all heads.

    Returns:
        [B N D E].
    """
    k, v = k.flatten(1, 2), v.flatten(1, 2)  # [B H·W N *]
    # The softmax is divided out of the small context, not out of the keys: fewer operations on
    # whole maps, in each derivative.
    weight = (k - k.detach().amax(dim=1, keepdim=True)).exp_()
    # Values that all heads share are summed at once, as if for a single wide head.
    sums = heads.context(weight.reshape(*v.shape[:3], -1), v).reshape(len(k), *k.shape[2:], -1)
    return sums / weight.sum(dim=1).unsqueeze(-1)


def linear_attention(q: Tensor, context: Tensor) -> Tensor:
    """Attend to all pixels at a cost linear in their number; queries are normalised over channels.

    Args:
        q: queries [B H W N D].
        context: see `gather_context`, [B N D E].

    Returns:
        [B H W N E].

    Source: Shen et al. 2021, *Efficient Attention*.
    """
    places, d_head = q.shape[1:3], q.shape[-1]
    # Autocast computes the softmax in float32.
    query = q.flatten(1, 2).softmax(dim=-1).to(q.dtype)
    return heads.read_out(query, (d_head**-0.5 * context).to(q.dtype)).unflatten(1, places)


def local_attention(
    q: Tensor, k: Tensor, v: Tensor, radius: int = 1, scale: float | None = None
) -> Tensor:
    """Attend to the (2·radius+1)² neighbourhood of each pixel.

    Beyond the border keys and values are zero and take part in the softmax.

    Args:
        q: queries [B H W N D].
        k: keys [B H W N D].
        v: values [B H W N D].
        radius: pixels to each side.
        scale: factor on the scores; None means ``D ** -0.5``.

    Returns:
        [B H W N D].
    """
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    scores = neighbourhood.scores(q, k, radius) * scale  # [S B H W N]
    return neighbourhood.gather_values(scores.softmax(dim=0).to(v.dtype), v, radius)
