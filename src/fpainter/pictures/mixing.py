"""Style mixing: the coarse styles of one image with the fine styles of another."""

import torch
from PIL import Image
from torch import Tensor

from fpainter.generators.sampler import Sampler
from fpainter.nn.sizes import is_whole
from fpainter.pictures.grids import PAPER, grid
from fpainter.pictures.styles import paint_styles, synthesis_of


def mixing_cutoff(sampler: Sampler, cutoff: int | None = None) -> int:
    """Return how many layers keep the styles of the coarse source.

    Args:
        sampler: of a generator with L styles.
        cutoff: asked for; None: half of them.

    Raises:
        ValueError: if it is not in 0..L, or the generator has no styles.
    """
    num = synthesis_of(sampler).num_styles
    cutoff = num // 2 if cutoff is None else cutoff
    if not is_whole(cutoff, least=0) or cutoff > num:
        raise ValueError(f"cutoff must be in 0..{num}, the number of layers; got {cutoff}")
    return cutoff


def draw_mixing(
    sampler: Sampler, coarse: Tensor, fine: Tensor, cutoff: int, batch_size: int, scale: int = 1
) -> Image.Image:
    """Draw a table of mixed images, its sources at the left and at the top.

    Args:
        sampler: of a generator with L styles.
        coarse: styles [R L d_style], whose first layers each row has.
        fine: styles [S L d_style], whose other layers each column has.
        cutoff: layers of `coarse`, in 0..L.
        batch_size: images painted at a time.
        scale: enlargement by whole pixels.

    Source: Karras et al. 2019, figure 3.
    """
    rows, columns = len(coarse), len(fine)
    mixed = synthesis_of(sampler).mix(
        coarse.repeat_interleave(columns, dim=0), fine.repeat(rows, 1, 1), cutoff
    )
    parts = torch.cat([fine, coarse, mixed]).split(batch_size)
    images = torch.cat([sampler.image_range.to_bytes(paint_styles(sampler, w)) for w in parts])
    top, left, cells = images.cpu().split([columns, rows, rows * columns])
    corner = torch.full_like(top[:1], PAPER)
    table = [corner, top]
    for source, row in zip(left, cells.split(columns), strict=True):
        table += [source[None], row]
    return grid(torch.cat(table), columns + 1, scale=scale)
