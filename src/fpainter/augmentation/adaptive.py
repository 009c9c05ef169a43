"""Augmentation that grows as the discriminator becomes too sure of the training images."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from fpainter.augmentation.affine import compose
from fpainter.augmentation.colours import COLOURS, recolour
from fpainter.augmentation.diff import TYPES
from fpainter.augmentation.draws import choice
from fpainter.augmentation.geometry import GEOMETRY, warp
from fpainter.nn.image_range import ImageRange

Changes = Mapping[str, Callable[[Tensor], Tensor]]


class AdaptiveAugment(nn.Module):
    """Augment with a probability that follows how sure the discriminator is of the reals.

    Each type is applied to each image with probability p, independently. What D sees most often
    must stay the unchanged image, or the generator learns to paint changed ones: p stays below
    `most`. After each iteration p moves up if the mean sign of D's logits at the reals, over the
    last iterations, is larger than `target`, else down.

    Args:
        types: names out of `GEOMETRY`, which are applied first and in one interpolation, of
            `COLOURS`, which follow as one map of colours, and of `TYPES`; each of the three in the
            order given. One that is named n times is applied with ``1 - (1 - p)^(1/n)`` each time,
            so that p is the probability of being applied at all.
        target: mean sign of the logits of reals to hold, in (-1, 1); where only differences of
            logits count, of ``D(real) - D(fake)``.
        num_images: images, over all processes, in which p could go from 0 to 1.
        window: iterations over which the sign is averaged.
        most: largest probability, in [0, 1].
        start: the probability in the beginning, in [0, most].
        image_range: of the images, ``unit`` [0, 1] or ``signed`` [-1, 1]; `COLOURS` ask for it.

    Attributes:
        probability: p, a scalar buffer.

    Raises:
        ValueError: if a type is unknown or an option out of range.

    Source: Karras et al. 2020, *Training GANs with Limited Data* (ADA), appendix B. It moves p
    every four iterations by four times as much, and lets it reach 1; interpolation see `warp`.
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
        image_range: str = "signed",
    ) -> None:
        super().__init__()
        known = {**GEOMETRY, **COLOURS, **TYPES}
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
        self.types = tuple(types)
        self.image_range = ImageRange(image_range)
        self.target = target
        self.num_images = num_images
        self.most = most
        self.register_buffer("probability", torch.tensor(float(start)))
        self.register_buffer("recent", torch.zeros(window))

    def forward(self, x: Tensor) -> Tensor:
        """Augment x [B C H W]; the shape, dtype and device stay."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        # Images that stay where they are need no interpolation, and stay exactly what they are.
        places, moved = self._combined(GEOMETRY, wide)
        if places is not None:
            wide = torch.where(moved, warp(wide, places), wide)
        colours, _ = self._combined(COLOURS, wide)
        if colours is not None:
            wide = recolour(wide, colours, self.image_range)
        x = wide.to(x.dtype)
        for name in self.types:
            if name in TYPES:
                x = torch.where(self._chosen(name, x), TYPES[name](x), x)
        return x

    def _chosen(self, name: str, x: Tensor) -> Tensor:
        """Draw for which images of x a type is applied this time, [B 1 1 1]."""
        times = self.types.count(name)
        return choice(x, 1 - (1 - self.probability) ** (1 / times))

    def _combined(self, kind: Changes, x: Tensor) -> tuple[Tensor | None, Tensor]:
        """Draw all changes of one kind.

        Returns:
            Their product [B n n], None if there is none; which images have one, [B 1 1 1].
        """
        product, any_chosen = None, torch.zeros(len(x), 1, 1, 1, dtype=torch.bool, device=x.device)
        for name in self.types:
            if name not in kind:
                continue
            chosen, change = self._chosen(name, x), kind[name](x)
            change = torch.where(
                chosen.view(-1, 1, 1),
                change,
                torch.eye(len(change[0]), dtype=x.dtype, device=x.device),
            )
            any_chosen = any_chosen | chosen
            if product is None:
                product = change
            elif kind is GEOMETRY:  # places lead back: the first change is undone last
                product = compose(product, change)
            else:
                product = compose(change, product)
        return product, any_chosen

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
