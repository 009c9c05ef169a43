"""Images side by side, as Pillow pictures."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont, ImageOps
from torch import Tensor

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
CHANNELS = {1: ("grey",), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}
PAPER = 255  # grey level between images
LABEL_HEIGHT = 14  # pixels below each strip
INK = "#5a5a5a"


def to_picture(image: Tensor) -> Image.Image:
    """Turn one image uint8 [C H W], C in 1, 3, 4, into a Pillow picture."""
    array = image.cpu().numpy()
    return Image.fromarray(array[0] if len(array) == 1 else np.moveaxis(array, 0, -1))


def as_rgb(images: Tensor) -> Tensor:
    """Turn grey, RGB or RGBA bytes [... C H W] into RGB [... 3 H W], transparent ones on paper."""
    if images.shape[-3] == 1:
        return images.expand(*images.shape[:-3], 3, -1, -1)
    if images.shape[-3] == 3:
        return images
    colours, alpha = images.float().split([3, 1], dim=-3)
    return (PAPER + (colours - PAPER) * alpha / 255).round().to(torch.uint8)


def grid(images: Tensor, columns: int | None = None, gap: int = 2, scale: int = 1) -> Image.Image:
    """Tile a batch row by row.

    Args:
        images: uint8 [N C H W], N at least 1.
        columns: images in a row; None makes the grid as square as it can be.
        gap: pixels between images and around them, before scaling.
        scale: enlargement by whole pixels.

    Returns:
        A picture of the images' own colour mode.
    """
    num, channels, height, width = images.shape
    columns = min(columns or math.ceil(math.sqrt(num)), num)
    rows = math.ceil(num / columns)
    down, right = height + gap, width + gap
    sheet = Image.new(MODES[channels], (columns * right + gap, rows * down + gap), "white")
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        sheet.paste(to_picture(image), (gap + column * right, gap + row * down))
    return enlarge(sheet, scale)


def sheet(
    parts: Sequence[Tensor],
    columns: int | None = None,
    scale: int = 1,
    labels: Tensor | None = None,
    names: Sequence[str] = (),
) -> Image.Image:
    """Tile batches of the same samples, one grid beside the other.

    Args:
        parts: batches uint8 [N C H W], such as images before and after they are refined.
        columns: as for `grid`.
        scale: as for `grid`.
        labels: of the samples [N]; a row for each class. None: rows mean nothing.
        names: what label i is called, written at the left of its row.
    """
    if labels is None:
        return beside([grid(images, columns, scale=scale) for images in parts])
    rows = [(labels == label).nonzero().flatten() for label in labels.unique()]
    columns = max(map(len, rows))
    # Where a class has fewer samples than another, its row ends in white.
    places = torch.stack([F.pad(row, (0, columns - len(row)), value=-1) for row in rows]).flatten()
    grids = []
    for images in parts:
        padded = torch.cat([images, torch.full_like(images[:1], PAPER)])
        grids.append(grid(padded[places], columns, scale=scale))
    return beside([margin([names[label] for label in labels.unique()], grids[0]), *grids])


def margin(names: Sequence[str], rows: Image.Image) -> Image.Image:
    """Write a name at the middle of each row of a grid, as a picture to put at its left."""
    font, height = ImageFont.load_default(size=10), rows.height / len(names)
    width = math.ceil(max(map(font.getlength, names))) + 6
    page = Image.new(rows.mode, (width, rows.height), "white")
    draw, every = ImageDraw.Draw(page), math.ceil(LABEL_HEIGHT / height)
    for index in range(0, len(names), every):  # leaving out those that would touch
        middle = (width - 3, (index + 0.5) * height)
        draw.text(middle, names[index], fill=INK, font=font, anchor="rm")
    return page


def enlarge(picture: Image.Image, scale: int) -> Image.Image:
    """Enlarge by whole pixels."""
    if scale == 1:
        return picture
    size = (picture.width * scale, picture.height * scale)
    return picture.resize(size, Image.Resampling.NEAREST)


def beside(pictures: Sequence[Image.Image]) -> Image.Image:
    """Put pictures of one colour mode and height beside each other."""
    return Image.fromarray(np.hstack([np.asarray(picture) for picture in pictures]))


def stack(pictures: Sequence[Image.Image]) -> Image.Image:
    """Put pictures of one colour mode and width below each other."""
    return Image.fromarray(np.vstack([np.asarray(picture) for picture in pictures]))


def labelled(strip: Image.Image, labels: Sequence[str]) -> Image.Image:
    """Write labels below the columns of a strip, leaving out those that would touch."""
    sheet = ImageOps.expand(strip, (0, 0, 0, LABEL_HEIGHT), fill="white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=10)
    column, free_from = strip.width / len(labels), 0.0
    for index, label in enumerate(labels):
        width = draw.textlength(label, font=font)
        # A long label of the last column may reach to the left, not out of the picture.
        left = min((index + 0.5) * column - width / 2, strip.width - width)
        if left >= free_from:
            draw.text((left, strip.height), label, fill=INK, font=font)
            free_from = left + draw.textlength(label + " ", font=font)
    return sheet
