"""The LightGAN generator, the baseline: convolutions that double a small map up to the image."""

import hashlib
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpainter.generators.base import Generator
from fpainter.generators.labels import JoinLabel
from fpainter.nn.activations import check_choice
from fpainter.nn.attention import MixedAttention
from fpainter.nn.excitation import FrequencyAttention, GlobalContext
from fpainter.nn.init import kaiming_
from fpainter.nn.noise import own_rows
from fpainter.nn.resample import Blur
from fpainter.nn.seeds import stream_seed
from fpainter.nn.sizes import first_map

EXCITING_STAGES = range(1, 5)  # whose outputs gate a later stage's, when there is one
LEAP = 3  # from the stage that excites to the stage that is gated


def draw_noise(x: Tensor, sources: Sequence[torch.Generator] | None) -> Tensor:
    """Draw one N(0, 1) image for each of x [B C H W], [B 1 H W].

    Args:
        x: gives shape, type and device.
        sources: a CPU generator for each image; None draws from torch's own.
    """
    batch, _, height, width = x.shape
    if sources is None:
        size = (1, height, width)
        return own_rows(lambda n: torch.randn(n, *size, device=x.device, dtype=x.dtype), batch)
    return torch.stack([torch.randn(1, height, width, generator=g) for g in sources]).to(x)


class Noise(nn.Module):
    """Add one N(0, 1) image to all channels, times a learned scalar that starts at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, sources: Sequence[torch.Generator] | None) -> Tensor:
        """Return x [B C H W] with noise added."""
        return x + self.weight * draw_noise(x, sources)


class UpBlock(nn.ModuleList):
    """Double a map: nearest neighbour, smoothing, convolution, noise, batch norm, gated linear.

    Args:
        c_in: channels in.
        c_out: channels out.
        blur: smooth what was doubled.
    """

    def __init__(self, c_in: int, c_out: int, blur: bool) -> None:
        super().__init__(
            [
                nn.Upsample(scale_factor=2.0, mode="nearest"),
                Blur() if blur else nn.Identity(),
                nn.ZeroPad2d((2, 1, 2, 1)),  # more on the left and on top; "same" has it reversed
                nn.Conv2d(c_in, 2 * c_out, 4),
                Noise(),
                nn.BatchNorm2d(2 * c_out),
                nn.GLU(dim=1),
            ]
        )

    def forward(self, x: Tensor, sources: Sequence[torch.Generator] | None) -> Tensor:
        """Map x [B c_in H W] to [B c_out 2H 2W], with noise from `sources`."""
        for layer in self:
            x = layer(x, sources) if isinstance(layer, Noise) else layer(x)
        return x


class LightGANGenerator(Generator):
    """Grow an image from the latent: a small map, doubled stage by stage.

    The first map's shorter side has 4 to 7 pixels (4×4 for 64×64 images); every pixel of it is
    normalised to unit length over channels. Stage s reads maps that are 2^s as large and returns
    min(1024 / 2^s, `c_max`) channels, 3 from stage 6 (256 pixels) on. From 128 pixels up,
    the outputs of stages 1 to 4 gate the channels of those three stages later. Nothing bounds the
    pixels of the image. The noise that each stage adds is drawn anew in training; in evaluation it
    follows from the latent, so that a latent stands for one image.

    Args:
        d_latent: size of the latent; channels of the first map.
        image_size: side, or (H, W); the shorter side at least 8. A power of two always fits.
        channels: colour channels C.
        c_max: upper bound on channels; a multiple of 16 for ``frequency``.
        attention_at: powers of two. A stage attends first if the shorter side of what it reads, or
            the power of two below, is among them; others are ignored.
        blur: smooth after each doubling. The released code does so.
        channel_attention: what gates read from a map: ``global_context`` (a learned weighted mean)
            or ``frequency`` (cosine coefficients). Without effect below 128 pixels.
        num_labels: classes; 0 for none. A label joins the latent: see `JoinLabel`.

    Raises:
        ValueError: if a number is out of range, the image cannot be reached by doubling, or an
            option is unknown.

    Source: Liu et al. 2021 as in lucidrains' lightweight-gan 0.23; the released code takes squares
    with a power of two as side only.
    """

    def __init__(
        self,
        d_latent: int = 256,
        image_size: int | Sequence[int] = 64,
        channels: int = 3,
        c_max: int = 512,
        attention_at: Sequence[int] = (32,),
        blur: bool = False,
        channel_attention: str = "global_context",
        num_labels: int = 0,
    ) -> None:
        super().__init__()
        for name, number in (("d_latent", d_latent), ("channels", channels), ("c_max", c_max)):
            if number < 1:
                raise ValueError(f"{name} must be at least 1; got {number}")
        check_choice("channel_attention", channel_attention, ("frequency", "global_context"))
        frequency = channel_attention == "frequency"
        if frequency and c_max % 16:
            raise ValueError(
                f"c_max must be a multiple of 16 for channel_attention='frequency'; got {c_max}"
            )
        height, width, num_stages = first_map(image_size)
        widths = [d_latent, *(_width(stage, c_max) for stage in range(num_stages))]

        self.d_latent = d_latent
        self.initial = nn.Sequential(
            nn.ConvTranspose2d(d_latent, 2 * d_latent, (height, width)),
            nn.BatchNorm2d(2 * d_latent),
            nn.GLU(dim=1),
        )
        self.attentions = nn.ModuleList(
            MixedAttention(widths[s]) if 2 ** (s + 2) in attention_at else nn.Identity()
            for s in range(num_stages)
        )
        self.ups = nn.ModuleList(UpBlock(widths[s], widths[s + 1], blur) for s in range(num_stages))
        self.excitations = nn.ModuleDict()  # by the stage they read
        for s in EXCITING_STAGES:
            if s + LEAP >= num_stages:
                break
            c_in, c_out = widths[s + 1], widths[s + 1 + LEAP]
            size = (height * 2 ** (s + 1), width * 2 ** (s + 1))
            self.excitations[str(s)] = (
                FrequencyAttention(c_in, c_out, size) if frequency else GlobalContext(c_in, c_out)
            )
        self.to_image = nn.Conv2d(widths[-1], channels, 3, padding=1)
        self.apply(kaiming_)
        self.num_labels = num_labels
        self.join_label = JoinLabel(num_labels, d_latent)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Paint images [B C H W] for latents z [B d_latent] and, if there are labels, label [B]."""
        z = self.join_label(z, label)
        sources = None if self.training else [_source(row) for row in z.detach().float().cpu()]
        x = F.normalize(self.initial(z[:, :, None, None]), dim=1)
        gates: dict[int, Tensor] = {}  # [B C 1 1], by the stage they gate
        for stage, (attention, up) in enumerate(zip(self.attentions, self.ups, strict=True)):
            x = up(attention(x), sources)
            if str(stage) in self.excitations:
                gates[stage + LEAP] = self.excitations[str(stage)](x)
            if stage in gates:
                x = x * gates[stage]
        return self.to_image(x)


def _source(latent: Tensor) -> torch.Generator:
    """Return a generator of noise, a function of the latent [d_latent] (float32, on the CPU)."""
    digest = hashlib.sha256(latent.numpy().tobytes()).digest()
    seed = stream_seed(int.from_bytes(digest[:8], "big"), 0, "noise of an image")
    return torch.Generator().manual_seed(seed)


def _width(stage: int, c_max: int) -> int:
    """Return the channels after a stage."""
    return 3 if stage >= 6 else min(2 ** (10 - stage), c_max)
