"""Changes of colours, all at once: one affine map of each image's colours however many there are.

A change is a matrix [B 4 4] for each image, which maps (red, green, blue, 1) in [-1, 1] to the
changed colours.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from fpainter.augmentation.affine import affine
from fpainter.augmentation.draws import integer, normal, uniform
from fpainter.nn.image_range import ImageRange

BRIGHTNESS = 0.2  # standard deviation
LOG_CONTRAST = 0.5 * math.log(2)  # standard deviations of logarithms
LOG_SATURATION = math.log(2)


def brightness(x: Tensor) -> Tensor:
    """Add N(0, 0.2)."""
    more = BRIGHTNESS * normal(x)
    return affine(x, [[1, 0, 0, more], [0, 1, 0, more], [0, 0, 1, more]])


def contrast(x: Tensor) -> Tensor:
    """Multiply the distance from the middle of the range by ``2^N(0, 0.5)``."""
    factor = (LOG_CONTRAST * normal(x)).exp()
    return _about_grey(x, grey=factor, colour=factor)


def luma_flip(x: Tensor) -> Tensor:
    """Exchange light and dark with probability 1/2; hues stay."""
    return _about_grey(x, grey=1 - 2 * integer(x, 0, 1), colour=1.0)


def hue(x: Tensor) -> Tensor:
    """Rotate colours about the axis of greys by any angle."""
    angle = uniform(x, -math.pi, math.pi)
    # A grey's colour is all in `same`; the other two are that of the next and of the last channel.
    same = (1 + 2 * angle.cos()) / 3
    near = (1 - angle.cos()) / 3 - angle.sin() / 3**0.5
    far = (1 - angle.cos()) / 3 + angle.sin() / 3**0.5
    return affine(x, [[same, near, far, 0], [far, same, near, 0], [near, far, same, 0]])


def saturation(x: Tensor) -> Tensor:
    """Multiply the distance from grey by ``2^N(0, 1)``."""
    return _about_grey(x, grey=1.0, colour=(LOG_SATURATION * normal(x)).exp())


def _about_grey(x: Tensor, grey: Tensor | float, colour: Tensor | float) -> Tensor:
    """Scale the mean of the three channels, and the distances from it."""
    other = (grey - colour) / 3
    own = other + colour
    return affine(x, [[own, other, other, 0], [other, own, other, 0], [other, other, own, 0]])


COLOURS: dict[str, Callable[[Tensor], Tensor]] = {
    change.__name__: change for change in (brightness, contrast, luma_flip, hue, saturation)
}


def recolour(x: Tensor, colours: Tensor, image_range: ImageRange) -> Tensor:
    """Change colours.

    Args:
        x: images [B C H W]; C = 1: grey, which becomes the mean of what a grey picture becomes;
            C = 3; C = 4: the fourth, opacity, stays.
        colours: [B 4 4], the matrix of a change.
        image_range: of x.

    Returns:
        [B C H W].

    Raises:
        ValueError: if there is another number of channels.
    """
    channels = x.shape[1]
    if channels not in (1, 3, 4):
        raise ValueError(f"colours change in images of 1, 3 or 4 channels; got {channels}")
    mixing, added = colours[:, :3, :3], colours[:, :3, 3]  # [B 3 3], [B 3]
    if channels == 1:
        mixing, added = mixing.sum(2).mean(1)[:, None, None], added.mean(1, keepdim=True)
    middle = (image_range.low + image_range.high) / 2
    half = (image_range.high - image_range.low) / 2
    added = half * added + middle * (1 - mixing.sum(dim=2))
    y = added[:, :, None, None]
    for source in range(mixing.shape[2]):
        y = y + mixing[:, :, source, None, None] * x[:, source : source + 1]
    return y if channels < 4 else torch.cat([y, x[:, 3:]], dim=1)
