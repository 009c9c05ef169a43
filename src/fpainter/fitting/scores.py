"""How near redrawn pictures come to what they redraw."""

from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

SMALLEST = 11  # pixels of a side: those of the window of the structural similarity
LEAST = 1e-3  # squared grey levels; PSNR of equal pictures would be infinite


class Scores(NamedTuple):
    """Of each picture.

    Attributes:
        psnr: peak signal-to-noise ratio [N] in dB, at most 78.1.
        ssim: structural similarity [N], at most 1.
    """

    psnr: Tensor
    ssim: Tensor


def score(redrawn: Tensor, pictures: Tensor) -> Scores:
    """Compare bytes with bytes, picture by picture.

    Args:
        redrawn: uint8 [N C H W].
        pictures: the same; sides of at least `SMALLEST` pixels.

    Source: the structural similarity is that of Wang et al. 2004 (Gaussian window of 11 pixels,
        averaged over channels) as torchmetrics computes it.
    """
    ours, theirs = redrawn.double().cpu(), pictures.double().cpu()
    # The metric of torchmetrics would average over the batch before it takes logarithms.
    error = (ours - theirs).square().flatten(1).mean(dim=1).clamp_min(LEAST)
    similar = structural_similarity_index_measure(ours, theirs, reduction="none", data_range=255.0)
    assert isinstance(similar, Tensor)
    return Scores(10 * torch.log10(255**2 / error), similar.reshape(-1))
