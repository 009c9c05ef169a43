"""How far images are from a picture, as something whose gradient leads there."""

import torch
import torch.nn.functional as F
from torch import Tensor

from fpainter.evaluation.inception.network import InceptionFeatures
from fpainter.nn.image_range import ImageRange

SMALLEST = 4  # pixels of the shorter side at which images are compared
STAGES = (0, 1, 4)  # of Inception, whose maps are compared: 64 × 73 × 73, 192 and 288 × 35 × 35


class Likeness:
    """The distance of images to a target: of pixels at several sizes, and of feature maps.

    Images are halved until a side has about 4 pixels; their mean squared differences, at each
    size, are averaged. To it comes the squared difference of Inception's maps, each place of which
    has been brought to length 1, summed over channels and averaged over places and stages.

    Args:
        target: uint8 [C H W].
        image_range: of the images to be compared.
        network: Inception; None compares pixels alone.
        weight: of the features.

    Source: Zhang et al. 2018 (LPIPS) normalise feature maps so, of another network and with learnt
    weights of channels.
    """

    def __init__(
        self,
        target: Tensor,
        image_range: ImageRange,
        network: InceptionFeatures | None = None,
        weight: float = 1.0,
    ) -> None:
        self.image_range = image_range
        self.network = network
        self.weight = weight
        unit = target[None].float() / 255
        self.pixels = _pyramid(unit)
        self.maps = self._maps(unit)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the distance of images [B C H W], in the image range, to the target, [B]."""
        unit = self.image_range.to_unit(images.float())
        pairs = zip(_pyramid(unit), self.pixels, strict=True)
        parts = [(own - goal).square().mean(dim=(1, 2, 3)) for own, goal in pairs]
        distance = torch.stack(parts).mean(dim=0)
        pairs = zip(self._maps(unit), self.maps, strict=True)
        parts = [(own - goal).square().sum(dim=1).mean(dim=(1, 2)) for own, goal in pairs]
        return distance + self.weight * torch.stack(parts).mean(dim=0) if parts else distance

    def _maps(self, unit: Tensor) -> list[Tensor]:
        if self.network is None or not self.weight:
            return []
        found = self.network.maps(255 * unit, max(STAGES) + 1)
        return [F.normalize(found[stage], dim=1) for stage in STAGES]


def _pyramid(images: Tensor) -> list[Tensor]:
    """Return images [B C H W] and halves of them."""
    levels = [images]
    while min(levels[-1].shape[2:]) >= 2 * SMALLEST:
        levels.append(F.avg_pool2d(levels[-1], 2))
    return levels
