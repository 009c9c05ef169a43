"""A convolutional U-Net from image to image, as diffusion models use it, without a time input."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from fpainter.nn.attention import ChannelNorm, gather_context, linear_attention
from fpainter.nn.sizes import as_size


class UNet(nn.Module):
    """Go down to coarse maps and back up; every way up reads the map of the same size going down.

    With widths ``(w, m_1 w, ..., m_L w)``: a 7×7 convolution to w, L stages down (the resolution
    halves between them), attention among all pixels at the coarsest, L stages up, and a last
    block that reads the first convolution's map again. No skip carries the image itself: an
    untrained U-Net shows nothing of its input.

    Args:
        image_size: side, or (H, W), each a multiple of 2^(L-1).
        channels: colour channels C, in and out.
        width: channels w of the finest maps; None means the image's longer side.
        multipliers: m_1 to m_L, the width of each stage over w.
        num_groups: groups of each group normalisation; must divide every width.

    Raises:
        ValueError: if the image does not halve evenly, `num_groups` does not divide a width, or a
            number is not positive.

    Source: Irie & Schmidhuber 2023, section 3.2 and appendix C.1; the network is that of
    lucidrains' denoising-diffusion-pytorch in 2022. The released code always takes the image's
    side as the width, and as multipliers the powers of two up to ``max_unet_dim`` (4).
    """

    def __init__(
        self,
        image_size: int | Sequence[int],
        channels: int = 3,
        width: int | None = None,
        multipliers: Sequence[int] = (1, 2, 4),
        num_groups: int = 8,
    ) -> None:
        super().__init__()
        self.image_size = as_size(image_size)
        self.channels = channels
        if width is None:
            width = max(self.image_size)
        widths = _checked_widths(self.image_size, width, tuple(multipliers), num_groups)
        steps = list(pairwise(widths))
        self.stem = nn.Conv2d(channels, width, 7, padding=3)
        self.downs = nn.ModuleList(Stage(c, c_next, num_groups) for c, c_next in steps)
        halvings = [nn.Conv2d(c, c, 4, stride=2, padding=1) for c in widths[1:-1]]
        self.downsample = nn.ModuleList([*halvings, nn.Identity()])
        self.middle = nn.Sequential(
            ResidualBlock(widths[-1], widths[-1], num_groups),
            PixelAttention(widths[-1], linear=False),
            ResidualBlock(widths[-1], widths[-1], num_groups),
        )
        self.ups = nn.ModuleList(Stage(2 * c_next, c, num_groups) for c, c_next in reversed(steps))
        doublings = [nn.ConvTranspose2d(c, c, 4, stride=2, padding=1) for c in widths[-2:0:-1]]
        self.upsample = nn.ModuleList([*doublings, nn.Identity()])
        self.last = ResidualBlock(2 * width, width, num_groups)
        self.to_image = nn.Conv2d(width, channels, 1)
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Tensor) -> Tensor:
        """Map an image [B C H W] to another of the same shape."""
        stem = self.stem(image.contiguous(memory_format=torch.channels_last))
        x, skips = stem, []
        for stage, downsample in zip(self.downs, self.downsample, strict=True):
            skips.append(stage(x))
            x = downsample(skips[-1])
        x = self.middle(x)
        for stage, upsample in zip(self.ups, self.upsample, strict=True):
            x = upsample(stage(torch.cat([x, skips.pop()], dim=1)))
        return self.to_image(self.last(torch.cat([x, stem], dim=1)))


class Stage(nn.Module):
    """Two residual blocks and linear attention, at one resolution.

    Args:
        c_in: channels in.
        c_out: channels out.
        num_groups: groups of each normalisation.
    """

    def __init__(self, c_in: int, c_out: int, num_groups: int) -> None:
        super().__init__()
        self.first = ResidualBlock(c_in, c_out, num_groups)
        self.second = ResidualBlock(c_out, c_out, num_groups)
        self.attention = PixelAttention(c_out, linear=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map x [B c_in H W] to [B c_out H W]."""
        return self.attention(self.second(self.first(x)))


class ResidualBlock(nn.Module):
    """Twice convolution, normalisation and SiLU, added to the input (projected to c_out).

    Args:
        c_in: channels in.
        c_out: channels out.
        num_groups: groups of each normalisation.
    """

    def __init__(self, c_in: int, c_out: int, num_groups: int) -> None:
        super().__init__()
        self.first = self._convolve(c_in, c_out, num_groups)
        self.second = self._convolve(c_out, c_out, num_groups)
        self.shortcut = nn.Identity() if c_in == c_out else nn.Conv2d(c_in, c_out, 1)

    @staticmethod
    def _convolve(c_in: int, c_out: int, num_groups: int) -> nn.Sequential:
        convolution = nn.Conv2d(c_in, c_out, 3, padding=1)
        return nn.Sequential(convolution, nn.GroupNorm(num_groups, c_out), nn.SiLU())

    def forward(self, x: Tensor) -> Tensor:
        """Map x [B c_in H W] to [B c_out H W]."""
        return self.second(self.first(x)) + self.shortcut(x)


class PixelAttention(nn.Module):
    """Attention among all pixels, normalised before and added to the input.

    Args:
        channels: channels C of [B C H W].
        linear: at a cost linear in the number of pixels, its result normalised, too; otherwise
            softmax attention, whose cost grows with the square: for coarse maps.
        num_heads: heads N.
        d_head: channels D of a head.
    """

    def __init__(self, channels: int, linear: bool, num_heads: int = 4, d_head: int = 32) -> None:
        super().__init__()
        self.linear = linear
        self.num_heads = num_heads
        self.norm = ChannelNorm(channels)
        self.to_qkv = nn.Conv2d(channels, 3 * num_heads * d_head, 1, bias=False)
        to_out = nn.Conv2d(num_heads * d_head, channels, 1)
        self.to_out = nn.Sequential(to_out, ChannelNorm(channels)) if linear else to_out

    def forward(self, x: Tensor) -> Tensor:
        """Attend over x [B C H W]; the result has the same shape."""
        normed = self.norm(x)
        # Computed apart, their gradients need not be copied together.
        q, k, v = (
            rearrange(F.conv2d(normed, kernel), "b (n d) h w -> b h w n d", n=self.num_heads)
            for kernel in self.to_qkv.weight.chunk(3)
        )
        if self.linear:
            attended = linear_attention(q, gather_context(k, v))
        else:
            q, k, v = (rearrange(m, "b h w n d -> b n (h w) d") for m in (q, k, v))
            attended = F.scaled_dot_product_attention(q, k, v)
            attended = rearrange(attended, "b n (h w) d -> b h w n d", h=x.shape[2])
        return x + self.to_out(rearrange(attended, "b h w n d -> b (n d) h w"))


def _checked_widths(
    size: tuple[int, int], width: int, multipliers: tuple[int, ...], num_groups: int
) -> list[int]:
    """Return the widths of the stem and of each stage, or say what does not fit."""
    if not multipliers or any(multiplier < 1 for multiplier in multipliers):
        raise ValueError(f"multipliers must be one or more positive ints; got {multipliers}")
    for name, value in [("width", width), ("num_groups", num_groups)]:
        if value < 1:
            raise ValueError(f"{name} must be a positive int; got {value}")
    (height, columns), factor = size, 2 ** (len(multipliers) - 1)
    if height % factor or columns % factor:
        raise ValueError(
            f"image_size must be a multiple of {factor} in height and width, to halve evenly "
            f"between the {len(multipliers)} stages of multipliers={multipliers}; "
            f"got height {height} and width {columns}"
        )
    widths = [width, *(width * multiplier for multiplier in multipliers)]
    for stage_width in widths:
        if stage_width % num_groups:
            raise ValueError(
                f"width times each multiplier must be a multiple of num_groups={num_groups}; got "
                f"{stage_width} (width={width}, multipliers={multipliers})"
            )
    return widths
