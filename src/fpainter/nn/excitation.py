"""Gates: one number in (0, 1) per channel, read from a whole feature map of another size."""

import math

import torch
from torch import Tensor, nn

NUM_FREQUENCIES = 8  # along each axis


class GlobalContext(nn.Module):
    """Gate channels by an attention-weighted mean of the map.

    One score per pixel, softmax over pixels; the mean under it passes two 1×1 convolutions.

    Args:
        c_in: channels of the map it reads.
        c_out: channels to gate.

    Source: Cao et al. 2020, *Global Context Networks*, as in lucidrains' lightweight-gan 0.23.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.to_score = nn.Conv2d(c_in, 1, 1)  # the softmax cancels its bias; kept as released
        self.to_gates = _gate_net(c_in, c_out, reduction=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map features [B c_in H W] to gates [B c_out 1 1]."""
        attention = self.to_score(x).flatten(1).softmax(dim=-1)  # [B H·W]
        context = torch.einsum("bcn,bn->bc", x.flatten(2), attention)
        return self.to_gates(context[:, :, None, None])


class FrequencyAttention(nn.Module):
    """Gate channels by one coefficient of each channel's discrete cosine transform.

    The channels are split into 16 equal groups: groups 0 to 7 read the frequencies (0, f) and
    groups 8 to 15 the frequencies (f, 0), f = 0 … 7 counted along (rows, columns). The transform is
    separable, so each channel keeps one basis vector per axis.

    Args:
        c_in: channels of the map it reads, a multiple of 16.
        c_out: channels to gate.
        size: (H, W) of the map it reads.

    Raises:
        ValueError: if the channels cannot be split, or a side has fewer than 8 pixels.

    Source: Qin et al. 2021, *FcaNet*, as in lucidrains' lightweight-gan 0.23.
    """

    rows: Tensor
    cols: Tensor

    def __init__(self, c_in: int, c_out: int, size: tuple[int, int]) -> None:
        super().__init__()
        groups = 2 * NUM_FREQUENCIES
        if c_in < groups or c_in % groups:
            raise ValueError(f"c_in must be a positive multiple of {groups}; got {c_in}")
        if min(size) < NUM_FREQUENCIES:
            raise ValueError(f"size must be at least 8 on each side; got {size[0]}×{size[1]}")
        rising, still = list(range(NUM_FREQUENCIES)), [0] * NUM_FREQUENCIES
        for name, side, frequencies in (
            ("rows", size[0], still + rising),
            ("cols", size[1], rising + still),
        ):
            basis = cosine_basis(side)[frequencies].repeat_interleave(c_in // groups, dim=0)
            self.register_buffer(name, basis, persistent=False)
        self.to_gates = _gate_net(c_in, c_out, reduction=4)

    def forward(self, x: Tensor) -> Tensor:
        """Map features [B c_in H W] to gates [B c_out 1 1]."""
        along_rows = torch.einsum("bchw,cw->bch", x, self.cols.to(x.dtype))
        coefficients = torch.einsum("bch,ch->bc", along_rows, self.rows.to(x.dtype))
        return self.to_gates(coefficients[:, :, None, None])


def cosine_basis(length: int) -> Tensor:
    """Return the orthonormal DCT-II basis, one vector per row.

    ``basis[f, i] = sqrt((1 if f == 0 else 2) / length) · cos(π f (i + 1/2) / length)``

    Args:
        length: of the signal.

    Returns:
        [length length], in the default dtype; computed in float64.
    """
    points = torch.arange(length, dtype=torch.float64)
    basis = torch.cos(torch.outer(points, points + 0.5) * (math.pi / length))
    basis *= math.sqrt(2 / length)
    basis[0] = math.sqrt(1 / length)
    return basis.to(torch.get_default_dtype())


def _gate_net(c_in: int, c_out: int, reduction: int) -> nn.Sequential:
    c_between = max(3, c_out // reduction)
    return nn.Sequential(
        nn.Conv2d(c_in, c_between, 1),
        nn.LeakyReLU(0.1),
        nn.Conv2d(c_between, c_out, 1),
        nn.Sigmoid(),
    )
