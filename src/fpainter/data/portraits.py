"""Drawn portraits: a data set that needs no download and that a small GAN learns in minutes."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw

from fpainter.data.drawing import Canvas, blend, hsv, palette, shade
from fpainter.nn.sizes import is_whole

_VERSION = "1"  # part of the fingerprint: raise it whenever a portrait changes

# Drawn at twice the size and averaged, because Pillow draws without antialiasing.
_SIDE = 256
_SCALE = 2

Option = TypeVar("Option")

_SKIN = palette("#ffe2cb #f6cdac #e4b088 #c48a62 #966242 #68422e")
_HAIR = palette("#261e20 #422a20 #68422a #945830 #ba5c2c #deb46c #f0d69c #acacb2")
HAIR_COLOURS = ("black", "brown", "red", "blond", "grey")
_NAMES = ("black", "black", "brown", "brown", "red", "blond", "blond", "grey")  # of _HAIR
_IRIS = palette("#4a3020 #744e28 #547c52 #4676ac #608696")
_LIPS = palette("#c45254 #b24658 #d06c64")
_WHITE = (252, 252, 250)
_DARK = (40, 30, 34)


class Portraits:
    """Drawn faces before a soft background: an `ImageSource` of 256×256 RGB pictures.

    Portrait `index` is a function of (seed, index) alone, on every machine with the same Pillow.

    Args:
        num_images: how many, positive.
        seed: which ones, ≥ 0.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(self, num_images: int = 4096, seed: int = 0) -> None:
        for name, value, least in (("num_images", num_images, 1), ("seed", seed, 0)):
            if not is_whole(value, least):
                raise ValueError(f"{name} must be an int ≥ {least}, got {value!r}")
        self.name = "portraits"
        self.num_images = num_images
        self.seed = seed

    def __len__(self) -> int:
        return self.num_images

    def fingerprint(self) -> str:
        """Return the sha256 of the drawing's version, the number of portraits and the seed."""
        return hashlib.sha256(f"{_VERSION} {self.num_images} {self.seed}".encode()).hexdigest()

    def title(self, index: int) -> str:
        """Return "portrait 000123"."""
        return f"portrait {index:06d}"

    def open(self, index: int) -> Image.Image:
        """Draw portrait `index`.

        Returns:
            256×256 RGB.

        Raises:
            IndexError: if `index` is not within 0..num_images−1.
        """
        return _paint(self._face(index))

    def hair_colour(self, index: int) -> str:
        """Return one of `HAIR_COLOURS`; of a bald head, that of the brows.

        Raises:
            IndexError: if `index` is not within 0..num_images−1.
        """
        return self._face(index).hair_name

    def _face(self, index: int) -> "_Face":
        if not 0 <= index < self.num_images:
            raise IndexError(f"portrait {index} of {self.num_images}")
        return _Face(np.random.default_rng((self.seed, index)))


class _Face:
    """Everything that differs from one portrait to the next; lengths in parts of the side."""

    def __init__(self, rng: np.random.Generator) -> None:
        def between(low: float, high: float) -> float:
            return low + (high - low) * rng.random()

        def choose(options: Sequence[Option], weights: Sequence[float] | None = None) -> Option:
            shares = np.cumsum(np.ones(len(options)) if weights is None else weights)
            return options[int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))]

        # Every line draws random numbers, so their order is part of what a portrait looks like.
        hue = rng.random()
        tone = between(0, len(_SKIN) - 1.001)
        self.skin = blend(_SKIN[int(tone)], _SKIN[int(tone) + 1], tone % 1)
        self.top = hsv(hue, between(0.16, 0.3), between(0.9, 0.98))
        self.bottom = hsv(hue + between(0.06, 0.12), between(0.3, 0.48), between(0.74, 0.88))
        self.clothes = hsv(hue + between(0.38, 0.62), between(0.5, 0.75), between(0.55, 0.85))
        self.collar = rng.random() < 0.4
        # Hair that stands out from the skin: browns of its own lightness would look like no hair.
        hair_colors = _HAIR if tone < 2 else (*_HAIR[:2], *_HAIR[7:]) if tone < 3.5 else _HAIR[:1]
        shares = (4, 4, 3, 2, 1.5, 2, 1.5, 1) if tone < 2 else (4, 4, 0.7)
        hair_color = choose(hair_colors, shares[: len(hair_colors)])
        self.hair_name = _NAMES[_HAIR.index(hair_color)]
        self.hair_color = blend(hair_color, choose(_HAIR), 0.1)
        self.hair = choose(("short", "bob", "long", "bun", "curly", "bald"), (5, 4, 5, 3, 3, 1.2))
        self.fringe = choose(("side", "middle", "straight", "high"), (4, 3, 3, 2))
        self.iris = choose(_IRIS)
        self.lips = blend(self.skin, choose(_LIPS), between(0.65, 0.9))
        self.mouth = choose(("smile", "laugh", "neutral"), (5, 3, 2))
        self.glasses = rng.random() < 0.18
        self.x = between(0.47, 0.53)
        self.y = between(0.51, 0.54)
        self.width = between(0.225, 0.255)
        self.height = between(0.275, 0.305)
        self.eye = between(0.062, 0.072)
        self.eye_distance = between(0.106, 0.12)
        self.brow_lift = between(0.096, 0.11)


def _paint(face: _Face) -> Image.Image:
    canvas = Canvas(_SIDE * _SCALE, face.top, face.bottom)
    _paint_hair_behind(canvas, face)
    _paint_body(canvas, face)
    _paint_head(canvas, face)
    _paint_hair_before(canvas, face)
    for side in (-1, 1):
        _paint_eye(canvas, face, side)
    _paint_nose_and_mouth(canvas, face)
    if face.glasses:
        _paint_glasses(canvas, face)
    return canvas.image.reduce(_SCALE)


def _paint_hair_behind(canvas: Canvas, face: _Face) -> None:
    x, y, rx, ry = face.x, face.y, face.width, face.height
    color = shade(face.hair_color, 0.86)
    if face.hair == "bun":
        canvas.ellipse(x, y - ry - 0.075, 0.1, 0.09, color)
    if face.hair == "curly":
        for angle in np.linspace(-0.15, np.pi + 0.15, 9):
            around_x, around_y = x + (rx + 0.03) * np.cos(angle), y - 0.05 - ry * np.sin(angle)
            canvas.ellipse(around_x, around_y, 0.105, 0.105, color)
        canvas.ellipse(x, y - 0.06, rx + 0.06, ry + 0.04, color)
    if face.hair in ("bob", "long"):
        low = y + (0.2 if face.hair == "bob" else 0.5)
        high = y - ry - 0.045
        canvas.block(x, (low + high) / 2, rx + 0.065, (low - high) / 2, rx + 0.05, color)
    if face.hair in ("short", "bun"):
        canvas.ellipse(x, y - 0.05, rx + 0.03, ry + 0.02, color)


def _paint_body(canvas: Canvas, face: _Face) -> None:
    x = 0.5 + (face.x - 0.5) / 2
    canvas.block(x, 1.1, 0.41, 0.25, 0.2, face.clothes)
    shadow = shade(face.skin, 0.84)
    if face.collar:
        points = ((x - 0.125, 0.845), (x + 0.125, 0.845), (x, 0.975))
        canvas.draw.polygon([(px * canvas.side, py * canvas.side) for px, py in points], shadow)
    else:
        canvas.ellipse(x, 0.852, 0.125, 0.06, shade(face.clothes, 0.82))
        canvas.ellipse(x, 0.849, 0.105, 0.045, shadow)
    canvas.block(x, 0.78, 0.085, 0.11, 0.04, shadow)


def _paint_head(canvas: Canvas, face: _Face) -> None:
    x, y, rx, ry = face.x, face.y, face.width, face.height
    if face.hair not in ("bob", "long"):
        for side in (-1, 1):
            canvas.ellipse(x + side * rx, y + 0.03, 0.035, 0.055, shade(face.skin, 0.93))
    canvas.ellipse(x, y, rx, ry, face.skin)
    # Fainter on dark skin, where red would glow.
    blush = blend(face.skin, (232, 96, 96), 0.1 + 0.16 * face.skin[1] / 255)
    for side in (-1, 1):
        canvas.ellipse(x + side * 0.138, y + 0.112, 0.052, 0.036, blush)


def _paint_hair_before(canvas: Canvas, face: _Face) -> None:
    """Lay the hair over the head, leaving the face open below the fringe."""
    if face.hair == "bald":
        return
    x, y, rx, ry = face.x, face.y, face.width, face.height
    mask = Image.new("L", canvas.image.size)
    draw = ImageDraw.Draw(mask)
    draw.ellipse(canvas.box(x, y - 0.012, rx + 0.022, ry + 0.024), fill=255)
    # Only the upper half is hair, and lower at the sides of long hair.
    end = y + (0.16 if face.hair in ("bob", "long") else -0.01)
    draw.rectangle((0, end * canvas.side, canvas.side, canvas.side), fill=0)
    openings = {
        "side": [(x - 0.06, y + 0.14, rx + 0.03, 0.31), (x + 0.1, y + 0.14, rx - 0.07, 0.26)],
        "middle": [(x + side * 0.075, y + 0.13, rx - 0.095, 0.31) for side in (-1, 1)],
        "straight": [(x, y + 0.155, rx - 0.02, 0.3)],
        "high": [(x, y + 0.1, rx - 0.02, 0.31)],
    }
    for opening in openings[face.fringe]:
        if face.fringe == "straight":
            draw.rounded_rectangle(canvas.box(*opening), 0.05 * canvas.side, fill=0)
        else:
            draw.ellipse(canvas.box(*opening), fill=0)
    canvas.image.paste(face.hair_color, mask=mask)


def _paint_eye(canvas: Canvas, face: _Face, side: int) -> None:
    x, y, r = face.x + side * face.eye_distance, face.y, face.eye
    canvas.ellipse(x, y, r, r * 0.82, _WHITE)
    canvas.ellipse(x, y + 0.003, r * 0.66, r * 0.7, face.iris)
    canvas.ellipse(x, y + 0.003, r * 0.36, r * 0.38, _DARK)
    canvas.ellipse(x - 0.014, y - 0.015, r * 0.22, r * 0.22, _WHITE)
    canvas.arc(x, y, r + 0.006, r * 0.82 + 0.006, (195, 345), 0.014, _DARK)
    brow = blend(face.hair_color, _DARK, 0.35)
    canvas.arc(x, y - face.brow_lift + 0.04, r * 1.05, 0.04, (205, 335), 0.018, brow)


def _paint_nose_and_mouth(canvas: Canvas, face: _Face) -> None:
    x, y = face.x, face.y
    canvas.arc(x, y + 0.08, 0.028, 0.022, (20, 160), 0.013, shade(face.skin, 0.76))
    y += 0.165
    if face.mouth == "smile":
        canvas.arc(x, y - 0.03, 0.08, 0.058, (25, 155), 0.026, face.lips)
    elif face.mouth == "laugh":
        box = canvas.box(x, y - 0.01, 0.076, 0.062)
        canvas.draw.chord(box, 0, 180, fill=face.lips)
        canvas.block(x, y + 0.003, 0.056, 0.011, 0.008, _WHITE)
    else:
        canvas.ellipse(x, y + 0.01, 0.056, 0.018, face.lips)


def _paint_glasses(canvas: Canvas, face: _Face) -> None:
    r = face.eye_distance - 0.012
    for side in (-1, 1):
        canvas.arc(face.x + side * face.eye_distance, face.y, r, r * 0.88, (0, 360), 0.014, _DARK)
    canvas.arc(face.x, face.y, 0.018, 0.012, (180, 360), 0.012, _DARK)
