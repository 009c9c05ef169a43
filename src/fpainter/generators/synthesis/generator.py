"""Generators of a mapping and a synthesis network: StyleGAN2 and what grew from it."""

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn

from fpainter.generators.base import Generator
from fpainter.generators.synthesis.mapping import MappingNetwork
from fpainter.generators.synthesis.network import SynthesisNetwork
from fpainter.nn.noise import own_rows


class SynthesisGenerator(Generator):
    """Map a latent to a style for each layer, and paint an image under these styles.

        z [B d_latent] -> w [B L d_style] -> image [B C H W]

    A style holds those of all K latents side by side, ``d_style = K d_w``.

    Args:
        d_latent: entries of all latents together.
        mapping: z -> [B K d_w].
        synthesis: [B L K d_w] -> images.
        num_labels: classes; 0 without labels.
        truncation: psi: in evaluation, styles are moved towards their average, to ``average +
            psi (w - average)``; 1 leaves them.
        truncation_cutoff: layers that are truncated, from the first on; None: all.
        average_decay: of the average of styles, for each batch of the discriminator's pass.
        style_mixing: probability with which, in training, the images of a batch take the styles of
            second latents from one layer on.

    Attributes:
        w_average: running average of styles [d_w], over all latents.
        num_styles: layers L.

    Raises:
        ValueError: if the parts do not fit, or `style_mixing` is no probability.

    Source: Karras et al. 2019, 2020 (StyleGAN2); with local latents Hudson & Zitnick 2021.
    """

    w_average: Tensor
    copied = ("w_average",)

    def __init__(
        self,
        d_latent: int,
        mapping: MappingNetwork,
        synthesis: SynthesisNetwork,
        num_labels: int = 0,
        truncation: float = 1.0,
        truncation_cutoff: int | None = None,
        average_decay: float = 0.998,
        style_mixing: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= style_mixing <= 1:
            raise ValueError(f"style_mixing must be in [0, 1]; got {style_mixing}")
        asked = d_latent, num_labels, synthesis.d_w, synthesis.counts
        if asked != (mapping.d_latent, mapping.num_labels, mapping.d_w, mapping.counts):
            raise ValueError(
                "d_latent, num_labels, d_w and the numbers of (local, global) latents must be "
                f"those of mapping ({mapping.d_latent}, {mapping.num_labels}, {mapping.d_w}, "
                f"{mapping.counts}); got {asked}"
            )
        self.d_latent = d_latent
        self.num_labels = num_labels
        self.truncation = truncation
        self.truncation_cutoff = truncation_cutoff
        self.average_decay = average_decay
        self.style_mixing = style_mixing
        self.mapping_network = mapping
        self.synthesis_network = synthesis
        self.num_styles = synthesis.num_styles
        self.positions = None
        if mapping.has_positions or synthesis.has_positions:
            self.positions = nn.Parameter(torch.rand(mapping.counts[0], mapping.d_w))
        self.register_buffer("w_average", torch.zeros(mapping.d_w))

    def mapping(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Map latents z [B d_latent], and label [B] if any, to styles w [B L d_style]."""
        w = self.mapping_network(z, label, self.positions).flatten(1)
        return w.unsqueeze(1).expand(-1, self.num_styles, -1)

    def mix(self, w: Tensor, other: Tensor, cutoff: int) -> Tensor:
        """Take the styles of another latent from one layer on (style mixing).

        Args:
            w: [B L d_style].
            other: the same.
            cutoff: layers that keep their style, in 0..L.
        """
        return torch.cat([w[:, :cutoff], other[:, cutoff:]], dim=1)

    def truncate(self, w: Tensor, truncation: float | None = None) -> Tensor:
        """Move styles w [B L d_style] towards their average, in as many layers as was set.

        Args:
            w: styles.
            truncation: psi; None: as set.
        """
        truncation = self.truncation if truncation is None else truncation
        if truncation == 1:
            return w
        cutoff = self.num_styles if self.truncation_cutoff is None else self.truncation_cutoff
        average = self.w_average.repeat(self.mapping_network.num_latents)
        return self.mix(average.lerp(w, truncation), w, cutoff)

    @torch.no_grad()
    def follow(self, w: Tensor) -> None:
        """Move the average of styles towards that of w [B L d_style] of all processes."""
        latents = w[:, 0].to(self.w_average).unflatten(1, (-1, len(self.w_average)))
        mean = latents.mean(dim=(0, 1))
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(mean)
            mean /= distributed.get_world_size()
        self.w_average.lerp_(mean, 1 - self.average_decay)

    def synthesis(self, w: Tensor, noise: str | None = None) -> Tensor:
        """Paint images [B C H W] under styles w [B L d_style].

        Args:
            w: styles.
            noise: ``random``, ``constant`` or ``none``; None: as set, but constant in evaluation.
        """
        return self._paint(w, noise)[0]

    def _paint(self, w: Tensor, noise: str | None) -> tuple[Tensor, list[Tensor]]:
        latents = w.unflatten(2, (self.mapping_network.num_latents, -1))
        return self.synthesis_network(latents, self.positions, noise)

    def styles(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Map latents [B d_latent] to the styles w [B L d_style] of their images.

        They are mixed in training, and truncated in evaluation.
        """
        w = self.mapping(z, label)
        if not self.training:
            return self.truncate(w)
        if not torch.is_grad_enabled():  # the discriminator's pass
            self.follow(w)
        if not self.style_mixing:
            return w
        others, cutoff = self.draw_mixing(z)
        return w if cutoff == self.num_styles else self.mix(w, self.mapping(others, label), cutoff)

    def draw_mixing(self, z: Tensor) -> tuple[Tensor, int]:
        """Draw second latents, as many as z [B d_latent], and how many layers keep the first.

        With probability `style_mixing` that is uniform in 1..L-1, else L.
        """
        others = own_rows(lambda n: torch.randn(n, *z.shape[1:], device=z.device).to(z), len(z))
        cutoff = int(torch.randint(1, self.num_styles, ()))
        return others, cutoff if float(torch.rand(())) < self.style_mixing else self.num_styles

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Paint images [B C H W] for latents z [B d_latent], of label [B] if there are labels."""
        return self.synthesis(self.styles(z, label))

    def traced(self, z: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return images [B C H W] and their styles [B L d_style]."""
        w = self.styles(z, label)
        return self.synthesis(w), w

    def attention_maps(self, w: Tensor, noise: str | None = None) -> Tensor:
        """Say where each local latent is attended to.

        Args:
            w: styles [B L d_style].
            noise: see `synthesis`.

        Returns:
            [B n A N H W], of n local latents, the A layers that attend and their N heads, enlarged
            to the image by nearest pixels; A is 0 where none attends.
        """
        image, attentions = self._paint(w, noise)
        maps = [F.interpolate(a.flatten(1, 2), size=image.shape[2:]) for a in attentions]
        if not maps:
            num_local = self.mapping_network.counts[0]
            return image.new_zeros(len(image), num_local, 0, 1, *image.shape[2:])
        split = (a.unflatten(1, b.shape[1:3]) for a, b in zip(maps, attentions, strict=True))
        return torch.stack(list(split), dim=1).permute(0, 3, 1, 2, 4, 5)
