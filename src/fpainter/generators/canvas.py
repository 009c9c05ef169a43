"""What the painter starts from."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from fpainter.nn.interpolation import isometric_interpolation
from fpainter.nn.sizes import as_size


class ZeroCanvas(nn.Module):
    """An empty canvas: W_0 = 0, as in the paper."""

    def forward(self, batch: int) -> None:
        """Return None, which every learning rule reads as zeros."""
        del batch


class LearnedCanvas(nn.Module):
    """A canvas that is learned with the painter, drawn from N(0, 1) at the start.

    Args:
        image_size: side, or (H, W).
        channels: colour channels C.

    Source: ``use_learned_init`` of the released code.
    """

    def __init__(self, image_size: int | Sequence[int], channels: int = 3) -> None:
        super().__init__()
        self.canvas = nn.Parameter(torch.randn(channels, *as_size(image_size)))

    def forward(self, batch: int) -> Tensor:
        """Return W_0 [B C H W]."""
        return self.canvas.expand(batch, -1, -1, -1)

    def grown_from(
        self, old: "LearnedCanvas", state: Mapping[str, Tensor]
    ) -> dict[str, str | Tensor | None]:
        """Return the canvas of a smaller painter, larger; see `fpainter.generators.growing`."""
        height, width = (
            isometric_interpolation(new, side)
            for new, side in zip(self.canvas.shape[1:], old.canvas.shape[1:], strict=True)
        )
        return {"canvas": height @ state["canvas"].double() @ width.T}
