"""Augmentation that grows as the discriminator becomes too sure of the training images."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fpainter.augmentation.diff import TYPES
from fpainter.augmentation.draws import choice
from fpainter.augmentation.geometry import GEOMETRY, places, warp


class AdaptiveAugment(nn.Module):
    """Augment with a probability that follows how sure the discriminator is of the reals.

    Each type is applied to each image with probability p, independently. What D sees most often
    must stay the unchanged image, or the generator learns to paint changed ones: p stays below
    `most`. After each iteration p moves up if the mean sign of D's logits at the reals, over the
    last iterations, is larger than `target`, else down.

    Args:
        types: names out of `GEOMETRY`, which are applied first and together, and of `TYPES`, in
            the order given.
        target: mean sign of the logits of reals to hold, in (-1, 1); where only differences of
            logits count, of ``D(real) - D(fake)``.
        num_images: images, over all processes, in which p could go from 0 to 1.
        window: iterations over which the sign is averaged.
        most: largest probability, in [0, 1].
        start: the probability in the beginning, in [0, most].

    Attributes:
        probability: p, a scalar buffer.

    Raises:
        ValueError: if a type is unknown or an option out of range.

    Source: Karras et al. 2020, *Training GANs with Limited Data* (ADA), which moves p every four
    iterations, by 500,000 images from 0 to 1, and changes images in more ways.
    """

    probability: Tensor
    recent: Tensor

    def __init__(
        self,
        types: Sequence[str] = ("mirror", "shift", "scale", "stretch", "color"),
        target: float = 0.6,
        num_images: int = 100_000,
        window: int = 4,
        most: float = 0.8,
        start: float = 0.0,
    ) -> None:
        super().__init__()
        known = {**GEOMETRY, **TYPES}
        if isinstance(types, str) or not types or any(name not in known for name in types):
            raise ValueError(f"types must be one or more of {list(known)}; got {types!r}")
        if not -1 < target < 1:
            raise ValueError(f"target must lie between -1 and 1; got {target}")
        if num_images < 1 or window < 1:
            raise ValueError(
                f"num_images and window must be at least 1; got {num_images} and {window}"
            )
        if not 0 <= start <= most <= 1:
            raise ValueError(f"start and most must be 0 <= start <= most <= 1; got {start}, {most}")
        self.geometry = tuple(name for name in types if name in GEOMETRY)
        self.others = tuple(name for name in types if name in TYPES)
        self.target = target
        self.num_images = num_images
        self.most = most
        self.register_buffer("probability", torch.tensor(float(start)))
        self.register_buffer("recent", torch.zeros(window))

    def forward(self, x: Tensor) -> Tensor:
        """Augment x [B C H W]; the shape, dtype and device stay."""
        if self.geometry:
            p = places(x)
            for name in self.geometry:
                p = torch.where(choice(x, self.probability), GEOMETRY[name](p), p)
            x = warp(x, p)
        for name in self.others:
            x = torch.where(choice(x, self.probability), TYPES[name](x), x)
        return x

    @torch.no_grad()
    def adapt(self, sign: Tensor, num_images: int) -> None:
        """Move the probability.

        Args:
            sign: mean sign of this iteration's logits of reals, a scalar, alike in all processes;
                one that is no number counts as 0.
            num_images: reals that the iteration has judged, over all processes.
        """
        self.recent.copy_(torch.cat([self.recent[1:], sign.nan_to_num(0.0).view(1)]))
        step = (self.recent.mean() - self.target).sign() * num_images / self.num_images
        self.probability.add_(step).clamp_(0, self.most)
