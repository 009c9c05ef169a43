"""What can be measured on a painter alone: the rank it reaches and what each step contributes."""

import torch
from torch import Tensor

from fpainter.generators.painting import Painting, StrokePainting
from fpainter.ops import rank_one


def effective_rank(images: Tensor) -> Tensor:
    """Count the singular values that really take part: exp of the entropy of their shares.

    Args:
        images: [B C H W], each channel a matrix of its own.

    Returns:
        [B C] float64 in [1, min(H, W)]: 1 for a rank-1 image, the rank for equal singular values;
        0 for an image of zeros.

    Raises:
        ValueError: if the images are not [B C H W].

    Source:
        Roy and Vetterli 2007.
    """
    if images.ndim != 4:
        raise ValueError(f"need images [B C H W], got {tuple(images.shape)}")
    values = torch.linalg.svdvals(images.double())  # [B C min(H, W)]
    total = values.sum(dim=-1)
    entropy = torch.special.entr(values / total[..., None]).sum(dim=-1)
    return torch.where(total > 0, entropy.exp(), 0.0)


def step_shares(painting: Painting) -> Tensor:
    """Share of each step in the finished picture D = W_T − W_0: ⟨W_t − W_{t−1}, D⟩ / |D|².

    Args:
        painting: of T steps.

    Returns:
        [B T] float64 that sums to one over the steps. A share is negative where other steps undo
        the step, and above one where they undo each other; nan where D is zero.
    """
    if isinstance(painting, StrokePainting) and not painting.fades:
        # The inner product with u pᵀ is uᵀ D p: no step's picture is made.
        rows, cols = painting.rows.double(), painting.cols.double()
        painted = rank_one.image(rows, cols)
        of_strokes = ((rows @ painted) * cols).sum(dim=(1, 3))  # [B S]
        inner = of_strokes.unflatten(1, (painting.num_steps, -1)).sum(dim=2)
    else:
        canvases = painting.canvases(range(painting.num_steps + 1)).double()
        painted = canvases[:, -1] - canvases[:, 0]
        inner = (canvases.diff(dim=1) * painted[:, None]).sum(dim=(2, 3, 4))
    return inner / painted.square().sum(dim=(1, 2, 3))[:, None]
