"""The shape that most pictures of a collection have, and the size of images that fits it."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from PIL import Image

from fpainter.data.sources import ImageSource
from fpainter.errors import UserError
from fpainter.nn.sizes import first_map

Seen = TypeVar("Seen")

_LOOKED_AT = 500  # pictures; their beginnings are read only, where their files allow it
_ALIKE = 0.1  # ratios within about 10 % count as one
_STEP = 8  # pixels
_ORIENTATION, _LYING = 0x0112, range(5, 9)


class CommonRatio(NamedTuple):
    """The most common aspect ratio.

    Attributes:
        ratio: height over width, the median of those alike.
        share: of the pictures that were looked at, those that have about this ratio, 0 to 1.
        looked_at: how many were.
    """

    ratio: float
    share: float
    looked_at: int


def look_at(source: ImageSource, most: int, look: Callable[[Image.Image], Seen]) -> Iterator[Seen]:
    """Yield what is seen of pictures all over a source; damaged ones are left out.

    Args:
        source: the pictures.
        most: pictures that are looked at.
        look: at an open picture.
    """
    num = min(len(source), most)
    for place in range(num):
        try:
            with source.open(place * len(source) // num) as image:
                seen = look(image)
        except MemoryError:
            raise
        except Exception:  # damaged pictures raise anything
            continue
        yield seen


def common_ratio(source: ImageSource) -> CommonRatio:
    """Find the most common aspect ratio of a source, from pictures all over it.

    Args:
        source: the pictures; damaged ones are left out.

    Raises:
        UserError: if none can be opened.
    """
    groups: dict[int, list[float]] = defaultdict(list)
    for ratio in look_at(source, _LOOKED_AT, _upright_ratio):
        groups[round(math.log(ratio) / _ALIKE)].append(ratio)
    if not groups:
        raise UserError(f"image_size=auto: none of the images of {source.name} can be opened")
    # Of several that are equally common, that nearest to a square.
    best = max(groups, key=lambda group: (len(groups[group]), -abs(group)))
    ratios = sorted(groups[best])
    opened = sum(map(len, groups.values()))
    return CommonRatio(ratios[len(ratios) // 2], len(ratios) / opened, opened)


def size_for(ratio: float, num_pixels: int) -> tuple[int, int]:
    """Return the (height, width) that come nearest to a ratio and a number of pixels.

    Both are multiples of 8 and can be halved as `first_map` says, as many networks want them. A
    ratio that is wrong by some factor counts as much as a number of pixels wrong by its square.

    Args:
        ratio: height over width, positive.
        num_pixels: wanted, at least 64.
    """
    sides = range(_STEP, 4 * math.isqrt(num_pixels) + _STEP, _STEP)
    sizes = [(h, w) for h in sides for w in sides if num_pixels / 4 < h * w < 4 * num_pixels]

    def error(size: tuple[int, int]) -> float:
        height, width = size
        shape = abs(math.log(height / width / ratio))
        return shape + abs(math.log(height * width / num_pixels)) / 2

    return next(size for size in sorted(sizes, key=error) if _halves(*size))


def _upright_ratio(image: Image.Image) -> float:
    try:
        turned = image.getexif().get(_ORIENTATION) in _LYING
    except Exception:  # as in `render`
        turned = False
    return image.width / image.height if turned else image.height / image.width


def _halves(height: int, width: int) -> bool:
    try:
        first_map((height, width))
    except ValueError:
        return False
    return True
