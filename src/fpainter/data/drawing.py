"""A square canvas measured in parts of its side, and a few colours' arithmetic."""

import colorsys

import numpy as np
from PIL import Image, ImageColor, ImageDraw

Color = tuple[int, int, int]
"""Red, green and blue, 0..255."""


class Canvas:
    """Draw in parts of the side: (x, y) are centres from the top left, (rx, ry) half widths.

    Args:
        side: width and height in pixels.
        top: background colour of the uppermost row.
        bottom: background colour of the lowest row; the rows between fade evenly.

    Attributes:
        image: the picture so far, RGB.
        draw: Pillow's own tool for `image`, in pixels.
    """

    def __init__(self, side: int, top: Color, bottom: Color) -> None:
        self.side = side
        share = np.linspace(0, 1, side)[:, None, None]
        column = np.rint(np.array(top) * (1 - share) + np.array(bottom) * share)
        one_wide = Image.fromarray(column.astype(np.uint8))
        self.image = one_wide.resize((side, side), Image.Resampling.NEAREST)
        self.draw = ImageDraw.Draw(self.image)

    def box(self, x: float, y: float, rx: float, ry: float) -> tuple[float, float, float, float]:
        """Return (left, top, right, bottom) in pixels."""
        s = self.side
        return (x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Color) -> None:
        """Fill an ellipse."""
        self.draw.ellipse(self.box(x, y, rx, ry), fill=fill)

    def block(self, x: float, y: float, rx: float, ry: float, radius: float, fill: Color) -> None:
        """Fill a rectangle with round corners."""
        self.draw.rounded_rectangle(self.box(x, y, rx, ry), radius * self.side, fill=fill)

    def arc(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        ends: tuple[int, int],
        pen: float,
        fill: Color,
    ) -> None:
        """Draw part of an ellipse's outline, `pen` wide inwards.

        `ends` are degrees, clockwise from the right.
        """
        box = self.box(x, y, rx, ry)
        self.draw.arc(box, *ends, fill=fill, width=round(pen * self.side))


def palette(codes: str) -> tuple[Color, ...]:
    """Return the colours of codes such as "#ffe2cb", with spaces between them."""
    return tuple(ImageColor.getrgb(code)[:3] for code in codes.split())


def blend(a: Color, b: Color, share: float) -> Color:
    """Return the colour `share` (0..1) of the way from `a` to `b`."""
    red, green, blue = (round(p + (q - p) * share) for p, q in zip(a, b, strict=True))
    return red, green, blue


def shade(color: Color, share: float) -> Color:
    """Return `color` darkened to `share` (0..1) of its brightness."""
    return blend((0, 0, 0), color, share)


def hsv(hue: float, saturation: float, value: float) -> Color:
    """Return the colour of a hue (in turns, any number), saturation and value (0..1)."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)
