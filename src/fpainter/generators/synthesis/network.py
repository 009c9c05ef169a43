"""From styles to images: blocks that double a small map until it is as large as the image."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fpainter.generators.synthesis.layers import (
    Context,
    StyledConvolution,
    SynthesisLayer,
    ToImage,
)
from fpainter.generators.synthesis.merging import Merging
from fpainter.generators.synthesis.settings import Layers, Merge
from fpainter.nn.activations import check_choice
from fpainter.nn.equalised import ARCHITECTURES, EqualisedConvolution, EqualisedLinear
from fpainter.nn.resample import smooth_up
from fpainter.nn.sizes import first_map, stage_width

STEMS = ("constant", "latent")


class Flow(NamedTuple):
    """What one block hands to the next.

    Attributes:
        x: maps [B C H W].
        image: what was read off so far [B C H W]; None if nothing was.
        attentions: to the local latents, of each layer so far [B N n H W].
    """

    x: Tensor
    image: Tensor | None
    attentions: list[Tensor]


class SynthesisBlock(nn.Module):
    """The layers of one size: all but the first block double the map.

    Args:
        c_in: channels in; 0 for the first block.
        c_out: channels out.
        d_w: size of a style.
        size: (H, W) of the result.
        channels: colour channels of an image that is read off; 0: none is.
        residual: a 1×1 shortcut beside the layers.
        layers: what layers have in common.
        num_local: local latents.
        last_convolution: a modulated convolution without bias, noise and activation before the
            image is read off.

    Attributes:
        num_styles: styles that it uses up; an image is read off with the one after.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        d_w: int,
        size: tuple[int, int],
        channels: int,
        residual: bool,
        layers: Layers,
        num_local: int,
        last_convolution: bool,
    ) -> None:
        super().__init__()
        rest = d_w, size, layers, num_local
        self.layers = nn.ModuleList([SynthesisLayer(c_out, c_out, *rest)])
        if c_in:
            self.layers.insert(0, SynthesisLayer(c_in, c_out, *rest, "up"))
        self.shortcut = (
            EqualisedConvolution(c_in, c_out, 1, "up", activated=False)
            if residual and c_in
            else None
        )
        self.last_convolution = (
            StyledConvolution(c_out, c_out, d_w, layers) if last_convolution else None
        )
        self.to_image = ToImage(c_out, channels, d_w, layers) if channels else None
        self.num_styles = len(self.layers) + last_convolution

    def forward(self, flow: Flow, w: Tensor, local: Tensor, context: Context) -> Flow:
        """Continue the flow under styles w [B L d_w] and local latents [B L n d_w].

        Of the L layers, the first is the first of this block.
        """
        x, image, attentions = flow
        shortcut, last_gain = None, 1.0
        if self.shortcut is not None:
            last_gain = 0.5**0.5
            shortcut = self.shortcut(x, last_gain)
        for index, layer in enumerate(self.layers):
            gain = last_gain if index == len(self.layers) - 1 else 1.0
            x, attention = layer(x, w[:, index], local[:, index], context, gain)
            attentions = attentions if attention is None else [*attentions, attention]
        if shortcut is not None:
            x = x + shortcut
        if self.last_convolution is not None:
            x = self.last_convolution(x, w[:, self.num_styles - 1])
        if image is not None:
            image = self.enlarged(image)
        if self.to_image is not None:
            read = self.to_image(x, w[:, self.num_styles])
            image = read if image is None else image + read
        return Flow(x, image, attentions)

    def enlarged(self, image: Tensor) -> Tensor:
        """Double what was read off so far, [B C H W]."""
        return smooth_up(image)


class SynthesisNetwork(nn.Module):
    """Paint images under a style for each layer.

    The first map's shorter side has 4 to 7 pixels (4×4 for 64×64 images). Maps of nominal side s,
    a power of two, have ``min(channel_base / s, channel_max)`` channels.

    Args:
        image_size: side, or (H, W); the shorter side at least 8. A power of two always fits.
        channels: colour channels C.
        d_w: size of a style.
        num_local: local latents n, to which layers attend.
        num_global: generators k with the same weights, whose maps are merged.
        channel_base: see above; None: 32,768 for images from 512 pixels up, half for smaller ones.
        channel_max: see above.
        architecture: ``skip`` (images are read off every size and added), ``resnet`` or ``orig``.
        stem: the first map: ``constant`` (learned), or ``latent`` (a linear map of the style).
        layers: what layers have in common; None for StyleGAN2's.
        merge: how k maps become one; None for k = 1.
        last_convolution: one more modulated convolution before the image (GANsformer).

    Attributes:
        num_styles: layers L, each with its style; the last reads off the image.

    Raises:
        ValueError: if an option is unknown or the image cannot be reached by doubling.

    Source: Karras et al. 2020 (StyleGAN2); with attention Hudson & Zitnick 2021 (GANsformer), from
    whose code all other baselines are.
    """

    def __init__(
        self,
        image_size: int | Sequence[int] = 64,
        channels: int = 3,
        d_w: int = 512,
        num_local: int = 0,
        num_global: int = 1,
        channel_base: int | None = None,
        channel_max: int = 512,
        architecture: str = "skip",
        stem: str = "constant",
        layers: Layers | None = None,
        merge: Merge | None = None,
        last_convolution: bool = False,
    ) -> None:
        super().__init__()
        check_choice("architecture", architecture, ARCHITECTURES)
        check_choice("stem", stem, STEMS)
        layers = layers or Layers()
        height, width, num_doublings = first_map(image_size)
        sides = [4 * 2**stage for stage in range(num_doublings + 1)]
        widths = [stage_width(side, channel_base, channel_max, sides[-1]) for side in sides]
        self.d_w = d_w
        self.counts = num_local, num_global
        self.noise = layers.noise
        attention = layers.attention
        self.has_positions = bool(num_local and attention and attention.latent_positions)
        self.stem: nn.Module | None = None
        self.first_size = widths[0], height, width
        if stem == "latent":
            area = height * width
            gain = 2**0.5 / 4  # of GANsformer's code
            self.stem = EqualisedLinear(d_w, widths[0] * area, activated=True, gain=gain)
        else:
            self.constant = nn.Parameter(torch.randn(self.first_size))
        self.blocks = nn.ModuleDict()  # by the nominal side of their maps
        for stage, side in enumerate(sides):
            is_last = side == sides[-1]
            self.blocks[str(side)] = SynthesisBlock(
                widths[stage - 1] if stage else 0,
                widths[stage],
                d_w,
                (height * 2**stage, width * 2**stage),
                channels if is_last or architecture == "skip" else 0,
                architecture == "resnet",
                layers,
                num_local,
                is_last and last_convolution,
            )
        stems = int(stem == "latent")
        self.num_styles = stems + sum(block.num_styles for block in self._blocks()) + 1
        skips = architecture == "skip"
        self.merge_at, self.merging = _merging(merge, num_global, skips, sides, widths, channels)
        if num_local and num_global > 1:
            raise ValueError(
                "there may be local latents or several global ones; "
                f"got num_local {num_local} and num_global {num_global}"
            )

    def _blocks(self) -> list[SynthesisBlock]:
        return [block for block in self.blocks.values() if isinstance(block, SynthesisBlock)]

    def forward(
        self, w: Tensor, positions: Tensor | None = None, noise: str | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Paint images under styles.

        Args:
            w: [B L K d_w], of each layer the local latents and then the global ones.
            positions: of the local latents [n d_w], if they have positions.
            noise: ``random``, ``constant`` or ``none``; None: as set, but constant in evaluation.

        Returns:
            images [B C H W] and the attention of each layer that attends [B heads n H' W'].
        """
        if noise is None:
            noise = self.noise if self.training or self.noise == "none" else "constant"
        context = Context(noise, positions)
        local, styles = w.split(self.counts, dim=2)
        styles = styles.transpose(1, 2).flatten(0, 1)  # [B·k L d_w]
        if self.stem is None:
            used, x = 0, self.constant.expand(len(styles), -1, -1, -1)
        else:
            used, x = 1, self.stem(styles[:, 0]).unflatten(1, self.first_size)
        flow = Flow(x, None, [])
        for side, block in zip(map(int, self.blocks), self._blocks(), strict=True):
            flow = block(flow, styles[:, used:], local[:, used:], context)
            used += block.num_styles
            if side == self.merge_at and self.merging is not None:
                x, styles = self.merging(flow.x, styles)
                flow = flow._replace(x=x)
        assert flow.image is not None
        image = flow.image
        if self.merging is not None and self.merge_at is None:
            image, _ = self.merging(image, styles)
        return image, flow.attentions


def _merging(
    merge: Merge | None,
    num: int,
    skips: bool,
    sides: Sequence[int],
    widths: Sequence[int],
    channels: int,
) -> tuple[int | None, Merging | None]:
    """Return the side of the maps to merge, None for images, and the layer that does it."""
    if (merge is not None) != (num > 1):
        raise ValueError(f"merge is for several generators (num_global); got {merge} and {num}")
    if merge is None:
        return None, None
    if skips and merge.at is not None and merge.at < sides[-1]:
        raise ValueError("maps are merged with architecture resnet or orig; got skip")
    if merge.at is None or merge.at >= sides[-1]:
        return None, Merging(merge.kind, channels, num)
    if merge.at not in sides:
        raise ValueError(f"merge.at must be one of {sides} or null; got {merge.at}")
    return merge.at, Merging(merge.kind, widths[sides.index(merge.at)], num)
