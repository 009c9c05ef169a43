"""A small convolutional discriminator for small machines and small images."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpainter.discriminators.base import Discriminator, Judgement
from fpainter.discriminators.projection import Projection
from fpainter.discriminators.variety import variety
from fpainter.errors import UserError
from fpainter.nn.convolution import Convolution
from fpainter.nn.init import kaiming_
from fpainter.nn.sizes import as_size, size_text

SLOPE = 0.2  # of every leaky ReLU


class ResidualDown(nn.Module):
    """A 3×3 and a strided 4×4 convolution beside a pooled 1×1 shortcut.

    Args:
        c_in: channels in.
        c_out: channels out.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first = Convolution(c_in, c_in, 3, padding=1)
        self.second = Convolution(c_in, c_out, 4, stride=2, padding=1)
        self.shortcut = Convolution(c_in, c_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B c_in H W] to [B c_out H/2 W/2]."""
        deep = F.leaky_relu(self.first(F.leaky_relu(x, SLOPE)), SLOPE)
        return (self.second(deep) + self.shortcut(F.avg_pool2d(x, 2))) * 0.5**0.5


class ConvolutionalDiscriminator(Discriminator):
    """Halve the image once per width, compare the batch, judge.

    The first halving is one strided convolution: at full resolution nothing else runs, which is
    where a small machine would spend its time.

    Args:
        image_size: side, or (H, W); must halve evenly once per width.
        channels: colour channels C.
        widths: channels after each halving.
        group_size: images compared by the minibatch standard deviation, which shows the
            discriminator a lack of variety; 1 turns it off. A batch it does not divide is
            compared as a whole.
        skips: how many smaller copies of the image are judged as well, each half as large as the
            one before; the features of copy l join those after l further halvings. Images that
            are as small as copy l can be judged, too: they begin there.
        num_labels: classes; 0 for none. The last features are what a class is projected on.

    Raises:
        ValueError: if the image does not halve evenly, there is no width, or not one for each copy.

    Source: the residual blocks and the minibatch standard deviation follow Karras et al. 2018,
    2020 (StyleGAN2) at a hundredth of the size.
    """

    def __init__(
        self,
        image_size: int | Sequence[int],
        channels: int = 3,
        widths: Sequence[int] = (32, 64, 128),
        group_size: int = 4,
        skips: int = 0,
        num_labels: int = 0,
    ) -> None:
        super().__init__()
        sides = as_size(image_size)
        if not widths:
            raise ValueError("widths must name the channels of at least one halving; got none")
        if any(side % 2 ** len(widths) for side in sides):
            raise ValueError(
                f"image_size must be divisible by {2 ** len(widths)} (two for each of widths "
                f"{list(widths)}); got {sides[0]}×{sides[1]}"
            )
        if not 0 <= skips < len(widths):
            raise ValueError(f"skips must be within 0..{len(widths) - 1}, got {skips}")
        self.image_size = sides
        self.widths = list(widths)
        self.skips = skips
        self.group_size = group_size
        self.from_image = Convolution(channels, widths[0], 4, stride=2, padding=1)
        self.downs = nn.Sequential(*(ResidualDown(a, b) for a, b in pairwise(widths)))
        self.mix = Convolution(widths[-1] + (group_size > 1), widths[-1], 3, padding=1)
        area = sides[0] * sides[1] // 4 ** len(widths)
        self.to_logit = nn.Linear(widths[-1] * area, 1)
        self.from_pooled = nn.ModuleList(
            Convolution(channels, width, 4, stride=2, padding=1) for width in widths[1 : skips + 1]
        )
        self.apply(kaiming_)
        self.num_labels = num_labels
        self.projection = Projection(num_labels, widths[-1])
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, auxiliary: bool = False, label: Tensor | None = None) -> Judgement:
        """Judge x [B C H W] of label [B], if there are labels; there is no auxiliary loss.

        Raises:
            UserError: if x has neither `image_size` nor the size of a smaller copy.
        """
        begin = self._copy_like(x)
        image = x.contiguous(memory_format=torch.channels_last)
        x = self.from_pooled[begin - 1](image) if begin else self.from_image(image)
        for level, down in enumerate(self.downs[begin:], start=begin):
            x = down(x)
            if level < self.skips:
                image = F.avg_pool2d(image, 2)
                x = x + self.from_pooled[level](image)
        if self.group_size > 1:
            x = torch.cat([x, variety(x, self.group_size)], dim=1)
            # torch.cat makes a third layout of the two, for which every later operation would pay.
            x = x.contiguous(memory_format=torch.channels_last)
        x = F.leaky_relu(self.mix(F.leaky_relu(x, SLOPE)), SLOPE)
        return Judgement((self.projection(self._logit(x), x, label),))

    def _copy_like(self, x: Tensor) -> int:
        """Return which copy of an image x has the size of; 0 for the image itself."""
        sizes = [[side >> level for side in self.image_size] for level in range(self.skips + 1)]
        if list(x.shape[2:]) not in sizes:
            known = ", ".join(map(size_text, sizes))
            raise UserError(
                f"model.discriminator judges images of {known}, and none of "
                f"{size_text(x.shape[2:])}; skips={self.skips} smaller copies are judged as well"
            )
        return sizes.index(list(x.shape[2:]))

    def _logit(self, x: Tensor) -> Tensor:
        """Apply `to_logit` to x [B C H W], leaving it and its gradient in their layout."""
        weight = self.to_logit.weight.unflatten(1, x.shape[1:]).permute(0, 2, 3, 1)
        return F.linear(x.permute(0, 2, 3, 1).flatten(1), weight.flatten(1), self.to_logit.bias)

    def grown_from(
        self, old: "ConvolutionalDiscriminator", state: Mapping[str, Tensor]
    ) -> dict[str, str | Tensor | None]:
        """Return a smaller discriminator behind new halvings that do not count yet.

        With k more widths in front and k more skips, the judgement is at first that of the image
        pooled 2^k-fold. Otherwise there is nothing to say. See `fpainter.generators.growing`.

        Source: the idea of fading in new layers is that of Karras et al. 2018.
        """
        added = len(self.widths) - len(old.widths)
        if added < 1 or self.widths[added:] != old.widths or self.skips < old.skips + added:
            return {}
        shift = {"from_image": f"from_pooled.{added - 1}"}
        shift |= {f"downs.{i}": f"downs.{i + added}" for i in range(len(old.downs))}
        shift |= {f"from_pooled.{i}": f"from_pooled.{i + added}" for i in range(old.skips)}
        stayed = {}
        for name in state:
            part = next((part for part in shift if name.startswith(f"{part}.")), "")
            stayed[shift[part] + name.removeprefix(part) if part else name] = name
        # What the new layers add to the features that the old ones read.
        silent = (
            f"downs.{added - 1}.second.", f"downs.{added - 1}.shortcut.",
            *(f"from_pooled.{i}." for i in range(old.skips + added, self.skips)),
        )  # fmt: skip
        own = self.state_dict().items()
        return {
            name: stayed.get(name, torch.zeros_like(tensor) if name.startswith(silent) else None)
            for name, tensor in own
        }
