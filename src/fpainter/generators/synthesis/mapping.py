"""From latents to styles: each latent through the same small network."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpainter.generators.synthesis.settings import Attention
from fpainter.nn.equalised import SLOPE, EqualisedLinear, LabelEmbedding, unit_rms
from fpainter.nn.labels import check_label


class ResidualPair(nn.Module):
    """Two linear layers, with what comes before attention added before the last leaky ReLU.

    They begin by adding next to nothing, as in GANsformer's PyTorch code. Were the second layer
    drawn as others are, styles would grow with every pair, and first images have deviations of 7
    and path lengths of 14.
    """

    def __init__(self, d: int, lr_multiplier: float) -> None:
        super().__init__()
        self.first = EqualisedLinear(d, d, True, lr_multiplier)
        self.second = EqualisedLinear(d, d, False, lr_multiplier)
        self.second.weight.data.mul_(lr_multiplier)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        """Map x [... d], and what it was before attention, to [... d]."""
        return F.leaky_relu(self.second(self.first(x)) + before, SLOPE)


class LatentMLP(nn.Module):
    """Linear layers with leaky ReLUs, which may be residual and preceded by self-attention.

    Args:
        d_in: size of the input.
        d_w: size of all layers.
        num_layers: linear layers; of residual ones two make a pair, and an odd last one is plain.
        residual: see above; needs `d_in` as large as `d_w`.
        lr_multiplier: factor on the learning rate.
        attention: of the latents to each other, before every layer or pair but the last.
        num_latents: that attend.
    """

    def __init__(
        self,
        d_in: int,
        d_w: int,
        num_layers: int,
        residual: bool,
        lr_multiplier: float,
        attention: Attention | None = None,
        num_latents: int = 1,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"num_layers must be at least 1; got {num_layers}")
        if residual and d_in != d_w:
            raise ValueError(f"residual layers need latents as large as d_w; got {d_in} and {d_w}")
        layers: list[nn.Module] = []
        if residual:
            layers += [ResidualPair(d_w, lr_multiplier) for _ in range(num_layers // 2)]
            num_layers %= 2
        for _ in range(num_layers):
            size = d_w if layers else d_in
            layers.append(EqualisedLinear(size, d_w, True, lr_multiplier))
        self.layers = nn.ModuleList(layers)
        sizes = [d_in, *[d_w] * (len(layers) - 2)][: len(layers) - 1]
        self.attentions = nn.ModuleList(
            attention.layer(size, size, d_w if attention.latent_positions else 0, num_latents)
            for size in sizes
            if attention is not None
        )

    def forward(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """Map latents x [B K d_in], with positions [K d_w] if they attend, to [B K d_w]."""
        for index, layer in enumerate(self.layers):
            before = x
            if index < len(self.attentions):
                x = self.attentions[index](x.mT, x.mT, positions, positions)[0].mT
            x = layer(x, before) if isinstance(layer, ResidualPair) else layer(x)
        return x


class MappingNetwork(nn.Module):
    """Map latents z to styles w.

    A z consists of `num_local` local and then `num_global` global latents of the same size. The
    local ones share a network and are normalised together; the global ones share another and are
    normalised each alone.

    Args:
        d_latent: entries of all latents together, a multiple of their number.
        d_w: size of the style of each.
        num_layers: linear layers of each network.
        num_local: local latents, for attention (GANsformer).
        num_global: global latents; several for k-GAN.
        num_labels: classes; 0 for none. The embedding of a label stands beside the global latents,
            and is added to them where residual layers keep their size.
        residual: layers are residual in pairs.
        lr_multiplier: factor on the learning rate.
        attention: of the local latents to each other; None without.

    Raises:
        ValueError: if a number is out of range or does not divide `d_latent`.

    Source: Karras et al. 2020 (StyleGAN2), Hudson & Zitnick 2021 (GANsformer); the latter counts
    one layer less.
    """

    def __init__(
        self,
        d_latent: int = 512,
        d_w: int = 512,
        num_layers: int = 8,
        num_local: int = 0,
        num_global: int = 1,
        num_labels: int = 0,
        residual: bool = False,
        lr_multiplier: float = 0.01,
        attention: Attention | None = None,
    ) -> None:
        super().__init__()
        if num_global < 1 or num_local < 0:
            raise ValueError(
                "num_global must be at least 1 and num_local at least 0; "
                f"got {num_global} and {num_local}"
            )
        self.d_latent = d_latent
        self.counts = num_local, num_global
        self.num_latents = num_local + num_global
        if d_latent < 1 or d_latent % self.num_latents:
            raise ValueError(
                f"d_latent must be a multiple of the {self.num_latents} latents (num_local and "
                f"num_global); got {d_latent}"
            )
        d_single = d_latent // self.num_latents
        self.d_w = d_w
        self.has_positions = bool(num_local and attention and attention.latent_positions)
        self.num_labels = num_labels
        self.embed = LabelEmbedding(num_labels, self.d_w) if num_labels else None
        self.adds_label = residual
        d_global = d_single + (self.d_w if num_labels and not residual else 0)
        rest = self.d_w, num_layers, residual, lr_multiplier
        self.global_mlp = LatentMLP(d_global, *rest)
        self.local_mlp = LatentMLP(d_single, *rest, attention, num_local) if num_local else None

    def forward(
        self, z: Tensor, label: Tensor | None = None, positions: Tensor | None = None
    ) -> Tensor:
        """Map latents to styles.

        Args:
            z: [B d_latent].
            label: class indices [B] int64, if there are labels.
            positions: of local latents [num_local d_w], if they have positions.

        Returns:
            [B K d_w], the local ones first.

        Raises:
            ValueError: if a label is needed and missing, or the other way round.
        """
        local, single = z.unflatten(1, (self.num_latents, -1)).split(self.counts, dim=1)
        single = unit_rms(single)
        check_label(label, self.num_labels)
        if self.embed is not None and label is not None:
            embedded = self.embed(label).unsqueeze(1)
            if self.adds_label:
                single = single + embedded
            else:
                single = torch.cat([single, embedded.expand(-1, single.shape[1], -1)], dim=2)
        w = self.global_mlp(single)
        if self.local_mlp is None:
            return w
        return torch.cat([self.local_mlp(unit_rms(local, (1, 2)), positions), w], dim=1)
