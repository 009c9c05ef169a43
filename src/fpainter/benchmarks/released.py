"""A painter, a discriminator and a training iteration written the way the released code runs them.

The same weights give the same numbers: a loop over painting steps, each reading its own slice of
what the head wrote; every 3×3 neighbourhood cut out; maps enlarged before they are convolved;
gradients of the discriminator's parameters computed in the generator's step and thrown away.
Source: IDSIA/fpainter and lightweight-gan 0.23.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from fpainter.generators.canvas import ZeroCanvas
from fpainter.generators.instruction_head import InstructionHead
from fpainter.generators.learning_rules import DeltaRule
from fpainter.generators.painter import FastWeightPainter
from fpainter.nn.activations import ACTIVATIONS
from fpainter.nn.attention import ChannelNorm, MixedAttention
from fpainter.nn.convolution import Convolution
from fpainter.nn.resample import UpsampledConv
from fpainter.ops import naive


def paint_in_a_loop(head: InstructionHead, rule: DeltaRule, written: Tensor) -> Tensor:
    """Paint with the delta rule, step after step, on an empty canvas.

    Args:
        head: whose activations are applied.
        rule: whose first rate is used.
        written: what the head's linear layer wrote, [B T C·(W+H+R)], R being 1 or H.

    Returns:
        the canvases W_T [B C H W].
    """
    batch, channels, (height, width) = len(written), head.channels, head.image_size
    written = written.transpose(0, 1)
    canvas: Any = 0
    for t in range(len(written)):
        parts = zip(head.orders, written[t].split(head.sizes, dim=-1), strict=True)
        key, value, rate = (
            ACTIVATIONS[order.activation](part.reshape(batch * channels, -1))
            for order, part in parts
        )
        if t > 0:
            value = value - (canvas @ key.unsqueeze(2)).squeeze(2)
        if t > 0 or rule.first_rate != "one":
            value = rate * value
        canvas = canvas + value.unsqueeze(2) @ key.unsqueeze(1)
    return canvas.view(batch, channels, height, width)


class LoopedPainter(nn.Module):
    """A painter that paints in a loop, sharing nothing with the one it was made from.

    Args:
        painter: with the delta rule, an empty canvas and no refiner.

    Raises:
        ValueError: if the painter is another.
    """

    def __init__(self, painter: nn.Module) -> None:
        super().__init__()
        if not (
            isinstance(painter, FastWeightPainter)
            and isinstance(painter.learning_rule, DeltaRule)
            and isinstance(painter.head, InstructionHead)
            and isinstance(painter.canvas, ZeroCanvas)
            and painter.learning_rule.step_size == "plain"
            and painter.head.orders[-1].axis != "none"
            and painter.head.basis == "pixels"
            and painter.head.strokes == 1
            and painter.head.factors == {"key": 1, "value": 1}
            and not painter.refines
            and painter.supervision.num_canvases == 1
        ):
            raise ValueError(
                "the loop is written for painters with the delta rule, rates, pixels as the head's "
                "basis, an empty canvas and no refiner, such as model=lstm_delta_split_v2"
            )
        self.painter = copy.deepcopy(painter)
        self.head = self.painter.head
        self.rule: DeltaRule = self.painter.learning_rule  # type: ignore[assignment]

    def forward(self, z: Tensor) -> Tensor:
        """Map latents z [B d_latent] to images [B C H W]."""
        painter = self.painter
        h = painter.sequence_processor(painter.input_generator(z), z)
        return painter.activate(paint_in_a_loop(self.head, self.rule, self.head.write(h)))


class PlainUpsampledConv(UpsampledConv):
    """The convolution, after the map has been enlarged."""

    def forward(self, input: Tensor) -> Tensor:
        """Map [B c_in H W] to [B c_out 2H 2W]."""
        return nn.Conv2d.forward(self, F.interpolate(input, scale_factor=2))


class PlainNorm(ChannelNorm):
    """The norm, operation by operation."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x [B C H W]."""
        variance = x.var(dim=1, correction=0, keepdim=True)
        mean = x.mean(dim=1, keepdim=True)
        return (x - mean) / (variance + self.eps).sqrt() * self.gain + self.shift


class PlainAttention(MixedAttention):
    """The attention on maps with channels first, every neighbourhood cut out."""

    def forward(self, x: Tensor) -> Tensor:
        """Attend over x [B C H W]; the result has the same shape."""
        normed, height = self.norm(x), x.shape[2]
        q, k, v = (
            rearrange(m, "b (n d) h w -> (b n) (h w) d", n=self.num_heads)
            for m in (self.linear_q(normed), *self.linear_kv(normed).chunk(2, dim=1))
        )
        context = torch.einsum("bpd,bpe->bde", k.softmax(dim=-2), v)
        scaled = q.softmax(dim=-1) * q.shape[-1] ** -0.5
        everywhere = rearrange(
            torch.einsum("bpd,bde->bpe", scaled, context),
            "(b n) (h w) d -> b (n d) h w",
            n=self.num_heads,
            h=height,
        )
        q, k, v = (
            rearrange(m, "b (n d) h w -> b h w n d", n=self.num_heads)
            for m in (self.local_q(normed), *self.local_kv(normed).chunk(2, dim=1))
        )
        nearby = rearrange(naive.local_attention(q, k, v), "b h w n d -> b (n d) h w")
        return x + self.to_out(torch.cat([F.gelu(everywhere), nearby], dim=1))


# Classes that differ from ours in `forward` alone.
PLAIN: dict[type[nn.Module], type[nn.Module]] = {
    Convolution: nn.Conv2d,
    UpsampledConv: PlainUpsampledConv,
    ChannelNorm: PlainNorm,
    MixedAttention: PlainAttention,
}


def as_released(module: nn.Module) -> nn.Module:
    """Copy a discriminator; the parts of the copy compute in the plainest way."""
    copied = copy.deepcopy(module)
    for part in copied.modules():
        part.__class__ = PLAIN.get(type(part), type(part))
    return copied.to(memory_format=torch.contiguous_format)
