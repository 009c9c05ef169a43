"""Painting strips: what each step adds, above the canvas as it stands after the step."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from fpainter.pictures.grids import PAPER, as_rgb, grid, labelled, stack
from fpainter.pictures.selection import Painted

NORMALISATIONS = ("final", "frame", "signed")
WARM, COLD = (178, 24, 43), (33, 102, 172)  # what adds and what takes away
STRONG = 0.99  # quantile of an image's changes that is shown in full colour


def draw_strips(
    work: Painted, steps: Sequence[int], normalisation: str = "final", scale: int = 1
) -> Image.Image:
    """Draw one strip per image: updates above canvases, step numbers below.

    Where steps are left out, an update is the sum of all updates since the column before. A
    refined image stands in a column of its own at the end, what the refiner changed above it.

    Args:
        work: the paintings.
        steps: numbers of the steps shown, increasing, in 1..T.
        normalisation: ``final``: all frames on the scale of the finished image, as in the paper's
            Figure 5; ``frame``: each frame scaled to the finished image's norm, as the released
            code draws them, so that faint updates show; ``signed``: canvases as in ``final``,
            updates averaged over colours, warm where they add and cold where they take away.
        scale: enlargement by whole pixels.

    Returns:
        A picture, one strip below the other.

    Raises:
        ValueError: if `normalisation` is unknown or there are no such steps.
    """
    check_normalisation(normalisation)
    num_steps = work.painting.num_steps
    if not steps or list(steps) != sorted({*steps} & {*range(1, num_steps + 1)}):
        raise ValueError(f"steps must increase within 1..{num_steps}; got {list(steps)}")
    canvases = work.painting.canvases([0, *steps])  # [B 1+S C H W]
    updates, canvases = canvases.diff(dim=1), canvases[:, 1:]
    if normalisation == "frame":
        norm = canvases[:, -1:].flatten(2).norm(dim=2)
        updates, canvases = (_to_norm(frames, norm) for frames in (updates, canvases))
    labels = [str(step) for step in steps]
    if work.refined is not None:
        change = work.refined - work.painting.image().to(work.refined.dtype)
        updates = torch.cat([updates, change[:, None]], dim=1)
        canvases = torch.cat([canvases, work.refined[:, None]], dim=1)
        labels.append("refined")
    if normalisation == "signed":
        frames = torch.cat([signed(updates), as_rgb(_shown(work, canvases))], dim=1)
    else:
        frames = torch.cat([_shown(work, updates), _shown(work, canvases)], dim=1)
    return stack(
        [labelled(grid(f, columns=len(labels), gap=1, scale=scale), labels) for f in frames]
    )


def check_normalisation(name: str) -> None:
    """Raise ValueError unless `name` is a normalisation of strips."""
    if name not in NORMALISATIONS:
        raise ValueError(f"normalisation must be one of {NORMALISATIONS}; got {name!r}")


def signed(updates: Tensor) -> Tensor:
    """Colour updates [B S C H W] as bytes [B S 3 H W]: white, warm above zero, cold below."""
    change = updates[:, :, :3].mean(dim=2, keepdim=True)  # without alpha
    strong = change.abs().flatten(1).quantile(STRONG, dim=1).clamp_min(1e-12)
    share = (change / strong[:, None, None, None, None]).clamp(-1, 1)
    warm, cold = (change.new_tensor(colour)[:, None, None] for colour in (WARM, COLD))
    colours = PAPER + share.abs() * (torch.where(share > 0, warm, cold) - PAPER)
    return colours.round().to(torch.uint8)


def _shown(work: Painted, frames: Tensor) -> Tensor:
    """Show frames [B S C H W] one by one, so that large ones take no more memory than they must."""
    return torch.stack([work.show(frame) for frame in frames.unbind(dim=1)], dim=1)


def _to_norm(frames: Tensor, norm: Tensor) -> Tensor:
    """Scale each of the frames [B S C H W] to the norm given for its image [B 1]."""
    own = frames.flatten(2).norm(dim=2).clamp_min(torch.finfo(frames.dtype).tiny)
    return frames * (norm / own)[..., None, None, None]
