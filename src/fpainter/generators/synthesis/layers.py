"""One layer of a synthesis network: modulated convolution, attention, noise, activation."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpainter.generators.synthesis.settings import Layers
from fpainter.nn.bipartite import BipartiteAttention
from fpainter.nn.equalised import EqualisedLinear, clamped, leaky, resampled
from fpainter.nn.noise import own_rows
from fpainter.nn.positions import GridPositions


class Context(NamedTuple):
    """What all layers of a synthesis network read.

    Attributes:
        noise: ``random``, ``constant`` or ``none``.
        positions: of the local latents [n d_w], or None.
    """

    noise: str
    positions: Tensor | None


class StyledConvolution(nn.Module):
    """A convolution without bias, which a style modulates.

    Each channel that it reads is scaled by an affine map of the style. If `demodulate`, each
    channel of the result is divided by the norm of its scaled weights, which is the deviation that
    it would have if the features were independent, with unit variance. Features are scaled, and not
    weights for each image, so that one convolution serves the whole batch.

    Args:
        c_in: channels in.
        c_out: channels out.
        d_w: size of the style.
        layers: says whether anything is modulated.
        kernel: side of the kernel, 1 or 3.
        resample: ``up`` or ``same``.
        demodulate: see above.

    Source: Karras et al. 2020 (StyleGAN2), as in its ``fused_modconv=False``.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        d_w: int,
        layers: Layers,
        kernel: int = 3,
        resample: str = "same",
        demodulate: bool = True,
    ) -> None:
        super().__init__()
        self.resample = resample
        self.demodulate = demodulate
        self.scale = (c_in * kernel**2) ** -0.5
        self.weight = nn.Parameter(torch.randn(c_out, c_in, kernel, kernel))
        self.to_scale = EqualisedLinear(d_w, c_in, bias=1.0) if layers.modulated else None
        self.epsilon = 1e-8 if layers.epsilon_scaled else 1e-8 * self.scale**2

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Map x [B c_in H W] under a style [B d_w] to [B c_out H' W']."""
        weight = self.weight * self.scale
        if self.to_scale is None:
            return resampled(x, weight, self.resample)
        scale = self.to_scale(style)  # [B c_in]
        x = resampled(x * scale[:, :, None, None], weight, self.resample)
        if not self.demodulate:
            return x
        power = F.linear(scale.square(), weight.square().sum(dim=(2, 3)))  # [B c_out]
        return x * (power + self.epsilon).rsqrt()[:, :, None, None]


class SynthesisLayer(nn.Module):
    """A convolution, attention if any, noise, bias and leaky ReLU.

    Args:
        c_in: channels in.
        c_out: channels out.
        d_w: size of a style.
        size: (H, W) of the result.
        layers: what layers have in common.
        num_local: local latents.
        resample: ``up`` or ``same``.

    Attributes:
        attention: to the local latents, or None.
    """

    noise_map: Tensor

    def __init__(
        self,
        c_in: int,
        c_out: int,
        d_w: int,
        size: tuple[int, int],
        layers: Layers,
        num_local: int,
        resample: str = "same",
    ) -> None:
        super().__init__()
        side = 2 ** (min(size).bit_length() - 1)
        self.clamp = layers.clamp
        self.convolution = StyledConvolution(c_in, c_out, d_w, layers, resample=resample)
        self.bias = nn.Parameter(torch.zeros(c_out))
        self.noise_strength = None
        if layers.noise != "none":
            self.noise_strength = nn.Parameter(torch.zeros(()))
            self.register_buffer("noise_map", torch.randn(size))
        self.attention: BipartiteAttention | None = None
        setting = layers.attention
        if setting and num_local and setting.from_side <= side <= setting.to_side:
            self.attention = setting.layer(c_out, d_w, d_w, num_local)
            self.positions = GridPositions(setting.positions, size, d_w)
        self.self_attention: BipartiteAttention | None = None
        if side == layers.self_attention_at and resample == "same":
            self.self_attention = BipartiteAttention(c_out, c_out, d_w, d_w)
            self.self_positions = GridPositions("sinusoidal", size, d_w)

    def forward(
        self,
        x: Tensor,
        w: Tensor,
        local: Tensor,
        context: Context,
        gain: float = 1.0,
    ) -> tuple[Tensor, Tensor | None]:
        """Map a map to the next.

        Args:
            x: [B c_in H W].
            w: style [B d_w].
            local: local latents [B n d_w].
            context: what all layers read.
            gain: factor on the result.

        Returns:
            [B c_out H' W'] and the attention [B N n H' W'], or None.
        """
        x = self.convolution(x, w)
        attention, size = None, x.shape[2:]
        if self.attention is not None:
            pixels, attention = self.attention(
                x.flatten(2), local.mT, self.positions(), context.positions
            )
            x, attention = pixels.unflatten(2, size), attention.unflatten(3, size)
        if self.self_attention is not None:
            pixels, places = x.flatten(2), self.self_positions()
            x = self.self_attention(pixels, pixels, places, places)[0].unflatten(2, size)
        x = x + self.bias[:, None, None]
        if self.noise_strength is not None and context.noise != "none":
            x = x + self._noise(x, context.noise) * self.noise_strength
        return leaky(x, gain, self.clamp), attention

    def _noise(self, x: Tensor, kind: str) -> Tensor:
        """Return noise for x, [B 1 H W] or [H W]."""
        if kind == "constant":
            return self.noise_map
        size, device, dtype = x.shape[2:], x.device, x.dtype
        return own_rows(lambda n: torch.randn(n, 1, *size, device=device, dtype=dtype), len(x))


class ToImage(nn.Module):
    """Read an image off a map: a modulated 1×1 convolution and a bias."""

    def __init__(self, c_in: int, channels: int, d_w: int, layers: Layers) -> None:
        super().__init__()
        self.clamp = layers.clamp
        self.convolution = StyledConvolution(c_in, channels, d_w, layers, 1, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Map x [B c_in H W] under a style [B d_w] to [B C H W]."""
        x = self.convolution(x, w) + self.bias[:, None, None]
        return clamped(x, 1.0, self.clamp)
