"""What a collection of pictures looks like: shape, size, colours, transparency."""

from statistics import median
from typing import NamedTuple

import numpy as np
from PIL import Image

from fpainter.data.decode import render
from fpainter.data.ratios import CommonRatio, common_ratio, look_at
from fpainter.data.sources import ImageSource
from fpainter.errors import UserError

_DECODED = 50  # pictures
_SHOWN = (64, 64)  # pixels, to which they are reduced first
_NO_COLOUR = 8  # of 255, the most that channels of grey pictures differ, as JPEG leaves them


class Looks(NamedTuple):
    """What a collection looks like.

    Attributes:
        num_images: how many there are.
        ratio: the most common aspect ratio.
        decoded: how many pictures were decoded for what follows.
        side: median of their shorter sides, pixels.
        grey: share of them without colour, 0 to 1.
        transparent: share of them with pixels that are not opaque, 0 to 1.
    """

    num_images: int
    ratio: CommonRatio
    decoded: int
    side: int
    grey: float
    transparent: float


def looks_of(source: ImageSource) -> Looks:
    """Look at pictures all over a source.

    Args:
        source: the pictures; damaged ones are left out.

    Raises:
        UserError: if none can be opened.
    """
    ratio = common_ratio(source)
    seen = list(look_at(source, _DECODED, _seen))
    if not seen:
        raise UserError(f"none of the images of {source.name} can be read")
    sides, grey, transparent = zip(*seen, strict=True)
    share = 1 / len(seen)
    return Looks(
        len(source), ratio, len(seen), int(median(sides)), sum(grey) * share,
        sum(transparent) * share,
    )  # fmt: skip


def _seen(image: Image.Image) -> tuple[int, bool, bool]:
    """Return the shorter side of a picture, and whether it is grey and transparent."""
    side = min(image.size)
    image.draft(None, _SHOWN)  # JPEG decodes less of it then
    pixels = render(image, _SHOWN, 4).astype(np.int16)
    opaque = pixels[3] == 255
    colours = pixels[:3, opaque]  # what cannot be seen has any colour
    grey = bool((np.ptp(colours, axis=0) <= _NO_COLOUR).all())
    return side, grey, not opaque.all()
