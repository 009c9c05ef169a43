"""Several maps become one, pixel by pixel (k-GAN)."""

import torch
from torch import Tensor, nn

from fpainter.nn.equalised import EqualisedConvolution


class Merging(nn.Module):
    """Merge the maps of k generators: each pixel of each map gets a score, by a 1×1 convolution.

    ``softmax`` averages with the softmax of the scores over maps; ``sum`` adds, without scores;
    ``max`` takes the map with the highest score; ``leaves`` lays maps on top of each other, the
    last in front, each with the opacity ``sigmoid(score - highest score below)``.

    Args:
        kind: one of these.
        channels: channels C of a map.
        num_maps: maps k.

    Source: van Steenkiste et al. 2018 (k-GAN), as in GANsformer's code; there the highest score
    below is by mistake that of all pixels and images. Where a map is taken, scores have no
    gradient.
    """

    def __init__(self, kind: str, channels: int, num_maps: int) -> None:
        super().__init__()
        self.kind = kind
        self.num_maps = num_maps
        self.to_score = (
            None if kind == "sum" else EqualisedConvolution(channels, 1, 1, activated=False)
        )

    def forward(self, x: Tensor, styles: Tensor) -> tuple[Tensor, Tensor]:
        """Merge maps and, with the mean weights, the styles of later layers.

        Args:
            x: [B·k C H W], those of an image next to each other.
            styles: [B·k L d].

        Returns:
            [B C H W] and [B L d].
        """
        maps = x.unflatten(0, (-1, self.num_maps))  # [B k C H W]
        weights = self._weights(x)
        mean = weights.mean(dim=(3, 4))  # [B k 1]
        styles = (styles.unflatten(0, (-1, self.num_maps)) * mean.unsqueeze(3)).sum(dim=1)
        return (maps * weights).sum(dim=1), styles

    def _weights(self, x: Tensor) -> Tensor:
        """Return the weight of each pixel of each map [B k 1 H W]."""
        if self.to_score is None:
            return torch.ones_like(x[:, :1]).unflatten(0, (-1, self.num_maps))
        scores = self.to_score(x).unflatten(0, (-1, self.num_maps))
        if self.kind == "softmax":
            return scores.softmax(dim=1)
        if self.kind == "max":
            return torch.zeros_like(scores).scatter(1, scores.argmax(dim=1, keepdim=True), 1.0)
        below = scores.cummax(dim=1).values[:, :-1]
        opacity = torch.sigmoid(scores[:, 1:] - below)
        hidden = (1 - opacity).flip(1).cumprod(dim=1).flip(1)  # by all that lie above
        ends = torch.ones_like(scores[:, :1])
        return torch.cat([ends, opacity], dim=1) * torch.cat([hidden, ends], dim=1)
