"""The StyleGAN2 discriminator, with the attention of SAGAN and of GANsformer as options."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fpainter.discriminators.base import Discriminator, Judgement
from fpainter.discriminators.variety import variety
from fpainter.nn.activations import check_choice
from fpainter.nn.bipartite import BipartiteAttention
from fpainter.nn.equalised import (
    ARCHITECTURES,
    EqualisedConvolution,
    EqualisedLinear,
    LabelEmbedding,
)
from fpainter.nn.labels import check_label
from fpainter.nn.positions import GridPositions
from fpainter.nn.resample import smooth_down
from fpainter.nn.sizes import check_side, check_whole, first_map, stage_width

LABEL_LAYERS, LABEL_RATE = 8, 0.01  # of the mapping of labels: its layers, their learning rate


class DiscriminatorBlock(nn.Module):
    """Halve a map by a 3×3 and a filtered, strided 3×3 convolution.

    Args:
        c_in: channels in.
        c_out: channels out.
        residual: a 1×1 shortcut beside them.
        clamp: bound on the magnitude of features; None for none.
    """

    def __init__(self, c_in: int, c_out: int, residual: bool, clamp: float | None) -> None:
        super().__init__()
        self.first = EqualisedConvolution(c_in, c_in, 3, clamp=clamp)
        self.second = EqualisedConvolution(c_in, c_out, 3, "down", clamp=clamp)
        self.shortcut = (
            EqualisedConvolution(c_in, c_out, 1, "down", activated=False) if residual else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [B c_in H W] to [B c_out H/2 W/2]."""
        if self.shortcut is None:
            return self.second(self.first(x))
        gain = 0.5**0.5
        return self.shortcut(x, gain) + self.second(self.first(x), gain)


class Aggregators(nn.Module):
    """Latents that attend to the maps of a discriminator, from the image down, and are judged.

    Args:
        num: latents.
        d: size of a latent, and of a position.
        sizes: (H, W) of each map.
        widths: channels of each map.
        group_size: see `variety`.

    Source: the discriminator with attention of GANsformer's code (Hudson & Zitnick 2021).
    """

    def __init__(
        self,
        num: int,
        d: int,
        sizes: Sequence[tuple[int, int]],
        widths: Sequence[int],
        group_size: int,
    ) -> None:
        super().__init__()
        self.group_size = group_size
        self.start = nn.Parameter(torch.rand(num, d))
        self.positions = nn.Parameter(torch.rand(num, d))
        self.grids = nn.ModuleList(GridPositions("sinusoidal", size, d) for size in sizes)
        self.attentions = nn.ModuleList(BipartiteAttention(d, c, d, d) for c in widths)
        self.hidden = EqualisedLinear(d + (group_size > 1), d, activated=True)
        self.to_logit = EqualisedLinear(d, 1)

    def begin(self, batch: int) -> Tensor:
        """Return the latents of a batch, [B d num]."""
        return self.start.mT.expand(batch, -1, -1)

    def attend(self, latents: Tensor, x: Tensor, level: int) -> Tensor:
        """Return latents [B d num] after they attended to the map x [B C H W] of a level."""
        grid, attention = self.grids[level](), self.attentions[level]
        return attention(latents, x.flatten(2), self.positions, grid)[0]

    def judge(self, latents: Tensor) -> Tensor:
        """Return the logits [B num] of latents [B d num]."""
        if self.group_size > 1:
            latents = torch.cat([latents, variety(latents, self.group_size)], dim=1)
        return self.to_logit(self.hidden(latents.mT)).squeeze(2)


class StyleGAN2Discriminator(Discriminator):
    """Halve the image until its shorter side has 4 to 7 pixels, compare the batch, judge.

    Args:
        image_size: side, or (H, W); the shorter side at least 8. A power of two always fits.
        channels: colour channels C.
        channel_base: maps of nominal side s have ``min(channel_base / s, channel_max)`` channels;
            None: 32,768 for images from 512 pixels up, half for smaller ones.
        channel_max: see above.
        architecture: ``resnet``, ``skip`` (smaller copies of the image join each size) or ``orig``.
        group_size: images compared by the minibatch standard deviation; 1 turns it off. A batch it
            does not divide is compared as a whole.
        num_labels: classes: the last features are projected on the embedding of a label; 0 for
            none.
        clamp: bound on the magnitude of features, for half precision; None for none.
        self_attention_at: nominal side of the maps whose pixels attend to each other before they
            are convolved (SAGAN); None for none.
        num_aggregators: latents that attend to all maps and are judged, too (GANsformer).
        d_aggregator: size of such a latent.

    Raises:
        ValueError: if an option is unknown or out of range, or the image does not halve evenly.

    Source: Karras et al. 2020; labels as in Miyato & Koyama 2018.
    """

    def __init__(
        self,
        image_size: int | Sequence[int] = 64,
        channels: int = 3,
        channel_base: int | None = None,
        channel_max: int = 512,
        architecture: str = "resnet",
        group_size: int = 4,
        num_labels: int = 0,
        clamp: float | None = None,
        self_attention_at: int | None = None,
        num_aggregators: int = 0,
        d_aggregator: int = 32,
    ) -> None:
        super().__init__()
        self.architecture = check_choice("architecture", architecture, ARCHITECTURES)
        height, width, num_stages = first_map(image_size)
        sides = [4 * 2**stage for stage in range(num_stages, -1, -1)]
        widths = [stage_width(side, channel_base, channel_max, sides[0]) for side in sides]
        sizes = [(height * side // 4, width * side // 4) for side in sides[:-1]]
        check_whole("group_size", group_size)
        self.group_size = group_size
        check_side("self_attention_at", self_attention_at)
        # By the nominal side of the maps they read.
        self.blocks, self.from_image = nn.ModuleDict(), nn.ModuleDict()
        for index, side in enumerate(sides):
            if index == 0 or architecture == "skip":
                read = EqualisedConvolution(channels, widths[index], 1, clamp=clamp)
                self.from_image[str(side)] = read
            if index < num_stages:
                pair = widths[index], widths[index + 1]
                self.blocks[str(side)] = DiscriminatorBlock(*pair, architecture == "resnet", clamp)
        self.self_attention_at = None
        if self_attention_at in sides[:-1]:
            self.self_attention_at = str(self_attention_at)
            index = sides.index(self_attention_at)
            d = widths[index]
            self.self_attention = BipartiteAttention(d, d, d, d)
            self.self_positions = GridPositions("sinusoidal", sizes[index], d)
        self.aggregators = None
        if num_aggregators:
            self.aggregators = Aggregators(
                num_aggregators, d_aggregator, sizes, widths[:-1], group_size
            )
        last = widths[-1]
        self.mix = EqualisedConvolution(last + (group_size > 1), last, 3, clamp=clamp)
        self.hidden = EqualisedLinear(last * height * width, last, activated=True)
        self.num_labels = num_labels
        self.to_logit = EqualisedLinear(last, last if num_labels else 1)
        self.embed = self.label_layers = None
        if num_labels:
            self.embed = LabelEmbedding(num_labels, last)
            self.label_layers = nn.Sequential(
                *(EqualisedLinear(last, last, True, LABEL_RATE) for _ in range(LABEL_LAYERS))
            )

    def forward(self, x: Tensor, auxiliary: bool = False, label: Tensor | None = None) -> Judgement:
        """Judge x [B C H W], of label [B], if there are labels; there is no auxiliary loss.

        Returns:
            One head of logits [B 1], followed by those of aggregators.

        Raises:
            ValueError: if a label is needed and missing, or the other way round.
        """
        image, features, latents = x, None, None
        if self.aggregators is not None:
            latents = self.aggregators.begin(len(image))
        for level, (side, block) in enumerate(self.blocks.items()):
            x = self._join(features, image, side)
            if side == self.self_attention_at:
                pixels, places = x.flatten(2), self.self_positions()
                pixels, _ = self.self_attention(pixels, pixels, places, places)
                x = pixels.unflatten(2, x.shape[2:])
            if self.aggregators is not None and latents is not None:
                latents = self.aggregators.attend(latents, x, level)
            features = block(x)
            if self.architecture == "skip":
                image = smooth_down(image)
        x = self._join(features, image, "4")
        if self.group_size > 1:
            x = torch.cat([x, variety(x, self.group_size)], dim=1)
        logits = self._logit(self.hidden(self.mix(x).flatten(1)), label)
        if self.aggregators is not None and latents is not None:
            logits = torch.cat([logits, self.aggregators.judge(latents)], dim=1)
        return Judgement((logits,))

    def _join(self, features: Tensor | None, image: Tensor, side: str) -> Tensor:
        """Add what is read off the image at a side, if anything is, to features [B C H W]."""
        if side not in self.from_image:
            assert features is not None
            return features
        read = self.from_image[side](image)
        return read if features is None else features + read

    def _logit(self, features: Tensor, label: Tensor | None) -> Tensor:
        """Return the logit [B 1] of the last features [B C]."""
        check_label(label, self.num_labels)
        logits = self.to_logit(features)
        if self.embed is None or self.label_layers is None or label is None:
            return logits
        direction = self.label_layers(self.embed(label))
        return (logits * direction).sum(dim=1, keepdim=True) * direction.shape[1] ** -0.5
