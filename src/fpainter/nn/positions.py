"""Where each pixel of a map is, as vectors that attention can compare."""

import torch
from torch import Tensor, nn

from fpainter.nn.activations import check_choice

KINDS = ("sinusoidal", "linear", "learned")
BASE = 10_000.0  # ratio of the fastest and the slowest wave


class GridPositions(nn.Module):
    """One vector for each pixel of a map; the first half tells its column, the second its row.

    Coordinates run from -1 to 1 along each axis.

    Args:
        kind: ``sinusoidal``: sines and cosines of the coordinate, slower and slower; ``linear``:
            a learned vector times the coordinate; ``learned``: a learned vector for each
            coordinate.
        size: (H, W) of the map.
        d_position: size of a vector.

    Raises:
        ValueError: if the kind is unknown.

    Source: Hudson & Zitnick 2021 (GANsformer), ``sinus``, ``linear`` and ``trainable``.
    """

    waves: Tensor | None

    def __init__(self, kind: str, size: tuple[int, int], d_position: int) -> None:
        super().__init__()
        self.kind = check_choice("positions", kind, KINDS)
        self.size = size
        self.d_position = d_position
        quarter, half = -(-d_position // 4), -(-d_position // 2)
        # Columns first; what a size that is no multiple of 4 or 2 cannot hold is cut off.
        if kind == "sinusoidal":
            # Rounded where the released code rounds, whatever the type of the network.
            slowness = BASE ** (4 * torch.arange(quarter, dtype=torch.float64) / d_position)
            axes = [torch.linspace(-1, 1, n, dtype=torch.float32) for n in size]
            phases = [axis[:, None].double() / slowness for axis in axes]
            rows, columns = (torch.cat([phase.sin(), phase.cos()], dim=1) for phase in phases)
            waves = self._grid(columns, rows).float().to(torch.get_default_dtype())
            self.register_buffer("waves", waves, persistent=False)
        else:
            lengths = (1, 1) if kind == "linear" else size
            self.rows, self.columns = (nn.Parameter(torch.rand(n, half)) for n in lengths)

    def forward(self) -> Tensor:
        """Return the vectors of all pixels, row by row, [H·W d_position]."""
        if self.kind == "sinusoidal":
            assert self.waves is not None
            return self.waves
        if self.kind == "learned":
            return self._grid(self.columns, self.rows)
        height, width = (torch.linspace(-1, 1, n).to(self.rows)[:, None] for n in self.size)
        return self._grid(width * self.columns, height * self.rows)

    def _grid(self, columns: Tensor, rows: Tensor) -> Tensor:
        height, width = self.size
        vectors = [columns.expand(height, -1, -1), rows[:, None].expand(-1, width, -1)]
        return torch.cat(vectors, dim=2).flatten(0, 1)[:, : self.d_position]
