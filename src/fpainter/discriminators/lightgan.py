"""The LightGAN discriminator: judgements at two scales, and decoders that rebuild the image."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpainter.discriminators.base import Discriminator, Judgement
from fpainter.discriminators.projection import Projection
from fpainter.nn.attention import MixedAttention
from fpainter.nn.convolution import Convolution
from fpainter.nn.init import kaiming_
from fpainter.nn.resample import Blur, UpsampledConv
from fpainter.nn.sizes import as_size

SLOPE = 0.1  # of every leaky ReLU


class DownBlock(nn.Module):
    """Halve a map along two branches, a strided convolution and an average pool, and add them.

    Args:
        c_in: channels in.
        c_out: channels out.
        blur: smooth before each branch.
    """

    def __init__(self, c_in: int, c_out: int, blur: bool) -> None:
        super().__init__()
        self.convolved = nn.Sequential(
            _blur(blur),
            Convolution(c_in, c_out, 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            Convolution(c_out, c_out, 3, padding=1),
            nn.LeakyReLU(SLOPE),
        )
        self.pooled = nn.Sequential(
            _blur(blur), nn.AvgPool2d(2), Convolution(c_in, c_out, 1), nn.LeakyReLU(SLOPE)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [B c_in H W] to [B c_out H/2 W/2]."""
        return self.convolved(x) + self.pooled(x)


class Decoder(nn.Module):
    """Paint an image, 16 times as large as the features it sees.

    Args:
        c_in: channels of the features.
        channels: colour channels of the image.
    """

    def __init__(self, c_in: int, channels: int) -> None:
        super().__init__()
        widths = [c_in // 2**stage for stage in range(4)]
        c_out = [*widths[:3], 2 * channels]  # before the gated linear unit halves them
        self.convolutions = nn.ModuleList(
            UpsampledConv(a, b) for a, b in zip(widths, c_out, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map features [B c_in h w] to an image [B C 16h 16w]."""
        for convolution in self.convolutions:
            # The gradient of torch's gate would lose the layout if it ran over the second axis.
            pixels = convolution(x).permute(0, 2, 3, 1)
            x = F.glu(pixels, dim=-1).permute(0, 3, 1, 2)
        return x


class LightGANDiscriminator(Discriminator):
    """Judge images at full size and at 32×32; reconstruct reals from the deepest features.

    Stages halve the image until its shorter side has 8 pixels; a stage whose input is s pixels
    wide has min(4096 / s, `c_max`) channels. Images above 256 pixels are first halved to 256 by
    plain strided convolutions.

    Args:
        image_size: side, or (H, W); the shorter side at least 16, both multiples of 16 or more.
        channels: colour channels C.
        c_max: upper bound on channels, a power of two: decoders halve them three times.
        attention_at: widths in pixels (of the shorter side) at which a stage attends first.
        logit_size: 1 for one logit per square image, 5 for a 5×5 map of logits.
        blur: smooth before each halving. The released code does so for its `base` model only.
        num_labels: classes; 0 for none. A class is projected on the deepest features, and counts
            for the logits of the full size; the thumbnail is judged without.

    Raises:
        ValueError: if the image cannot be halved evenly, or an option is unknown.

    Source: Liu et al. 2021 as in lucidrains' lightweight-gan 0.23; logits have the opposite sign
    of the released code (there, real is low).
    """

    def __init__(
        self,
        image_size: int | Sequence[int],
        channels: int = 3,
        c_max: int = 512,
        attention_at: Sequence[int] = (32,),
        logit_size: int = 1,
        blur: bool = False,
        num_labels: int = 0,
    ) -> None:
        super().__init__()
        if logit_size not in (1, 5):
            raise ValueError(f"logit_size must be 1 or 5; got {logit_size}")
        if c_max < 8 or c_max & (c_max - 1):
            raise ValueError(f"c_max must be a power of two, at least 8; got {c_max}")
        sides = as_size(image_size)
        exponent = int(math.log2(min(sides)))
        if exponent < 4 or any(side % 2 ** (exponent - 3) for side in sides):
            raise ValueError(
                "image_size must be at least 16 and halve evenly until the shorter side has 8 to "
                f"15 pixels; got {sides[0]}×{sides[1]}"
            )
        num_plain = max(0, exponent - 8)
        stages = range(min(8, exponent), 3, -1)  # log2 of the width each stage reads
        widths = {e: min(2 ** (12 - e), c_max) for e in range(8, 2, -1)}
        if num_plain == 0:
            widths[stages[0]] = channels

        self.plain = nn.ModuleList(
            nn.Sequential(_blur(blur), Convolution(a, b, 4, 2, padding=1), nn.LeakyReLU(SLOPE))
            for a, b in pairwise([channels] * num_plain + [widths[8]])
        )
        self.attentions = nn.ModuleList(
            MixedAttention(widths[e]) if 2**e in attention_at else nn.Identity() for e in stages
        )
        self.downs = nn.ModuleList(DownBlock(widths[e], widths[e - 1], blur) for e in stages)
        deepest = widths[3]
        self.to_logits = nn.Sequential(
            *(
                [Convolution(deepest, deepest, 1)]
                if logit_size == 5
                else [_blur(blur), Convolution(deepest, deepest, 3, stride=2, padding=1)]
            ),
            nn.LeakyReLU(SLOPE),
            Convolution(deepest, 1, 4),
        )
        self.small = SmallJudge(channels, blur)
        self.decoder = Decoder(deepest, channels)
        self.quadrant_decoder = Decoder(widths[4], channels) if exponent >= 9 else None
        self.apply(kaiming_)
        self.num_labels = num_labels
        self.projection = Projection(num_labels, deepest)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, auxiliary: bool = False, label: Tensor | None = None) -> Judgement:
        """Judge x [B C H W] of label [B], if there are labels.

        With `auxiliary`, also reconstruct x and return the squared error.
        """
        image = x = x.contiguous(memory_format=torch.channels_last)
        for halve in self.plain:
            x = halve(x)
        for attention, down in zip(self.attentions, self.downs, strict=True):
            half_as_deep = x
            x = down(attention(x))
        full = self.projection(self.to_logits(x).flatten(1), x, label)
        logits = (full, self.small(image).flatten(1))
        if not auxiliary:
            return Judgement(logits)
        return Judgement(logits, self._reconstruction_error(image, x, half_as_deep))

    def _reconstruction_error(self, image: Tensor, deepest: Tensor, half_as_deep: Tensor) -> Tensor:
        error = _mse_at_its_size(self.decoder(deepest), image)
        if self.quadrant_decoder is None:
            return error
        down, right = divmod(int(torch.randint(4, ())), 2)
        return error + _mse_at_its_size(
            self.quadrant_decoder(_quadrant(half_as_deep, down, right)),
            _quadrant(image, down, right),
        )


class SmallJudge(nn.Module):
    """Judge the 32×32 nearest-neighbour thumbnail: one logit, attention at 32 and at 16 pixels.

    Args:
        channels: colour channels C.
        blur: smooth before halving.
    """

    def __init__(self, channels: int, blur: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Convolution(channels, 64, 3, padding=1),
            MixedAttention(64),
            DownBlock(64, 32, blur),
            MixedAttention(32),
            nn.AdaptiveAvgPool2d(4),
            Convolution(32, 1, 4),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map images [B C H W] to logits [B 1 1 1]."""
        return self.layers(F.interpolate(x, size=(32, 32), mode="nearest"))


def _blur(blur: bool) -> nn.Module:
    return Blur() if blur else nn.Identity()


def _quadrant(x: Tensor, down: int, right: int) -> Tensor:
    return x.chunk(2, dim=-2)[down].chunk(2, dim=-1)[right]


def _mse_at_its_size(decoded: Tensor, image: Tensor) -> Tensor:
    target = F.interpolate(image, size=decoded.shape[-2:], mode="nearest")
    return F.mse_loss(decoded, target)
