"""The ground truth: learning rules as loops over steps, local attention with copied neighbourhoods.

Nothing but tests and benchmarks calls these; :mod:`fpainter.ops.closed_form` computes the same
factors without a loop, :mod:`fpainter.ops.neighbourhood` the same sums without copies. Shapes: B
batch, C colour channels, T steps, H rows, W columns.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def delta_rule(
    key: Tensor, value: Tensor, rate: Tensor, canvas: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    r"""Run ``W_t = W_{t-1} + rate_t (v_t - W_{t-1} k_t) k_t^T`` step by step.

    Args:
        key: column patterns k [B C T W].
        value: row patterns v [B C T H], in the range of the canvas.
        rate: write strengths [B C T 1], or [B C T H] for one per row.
        canvas: W_0 [B C H W]; None means zeros.

    Returns:
        rows u [B C T H] and cols p [B C T W] with ``W_t = W_0 + sum_{j<=t} u_j p_j^T``.

    Source: Irie & Schmidhuber 2023, Eq. 9.
    """
    batch, channels, num_steps, height = value.shape
    current = value.new_zeros(batch, channels, height, key.shape[-1]) if canvas is None else canvas
    rows = []
    for t in range(num_steps):
        k, v, beta = key[:, :, t], value[:, :, t], rate[:, :, t]
        stored = torch.einsum("bchw,bcw->bch", current, k)
        u = beta * (v - stored)
        current = current + torch.einsum("bch,bcw->bchw", u, k)
        rows.append(u)
    return torch.stack(rows, dim=2), key


def sum_rule(
    key: Tensor, value: Tensor, rate: Tensor, canvas: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Run ``W_t = W_{t-1} + rate_t v_t k_t^T``: what is on the canvas plays no part.

    Args:
        key: column patterns k [B C T W].
        value: row patterns v [B C T H].
        rate: write strengths [B C T 1] or [B C T H].
        canvas: ignored; the purely additive (Hebbian) rule never looks at it.

    Returns:
        rows [B C T H] and cols [B C T W].

    Source: Irie & Schmidhuber 2023, section 2.1 (there with all rates one).
    """
    del canvas
    rows = [rate[:, :, t] * value[:, :, t] for t in range(value.shape[2])]
    return torch.stack(rows, dim=2), key


def oja_rule(
    key: Tensor,
    value: Tensor,
    rate: Tensor,
    canvas: Tensor | None = None,
    softmax: bool = False,
) -> tuple[Tensor, Tensor]:
    r"""Run ``W_t = W_{t-1} + rate_t v_t (k_t - W_{t-1}^T v_t)^T`` step by step.

    Args:
        key: column patterns k [B C T W].
        value: row patterns v [B C T H].
        rate: write strengths [B C T 1], or [B C T H] for one per row.
        canvas: W_0 [B C H W]; None means zeros.
        softmax: replace the corrected key by its softmax over the W columns.

    Returns:
        rows u [B C T H] and cols p [B C T W] with ``W_t = W_0 + sum_{j<=t} u_j p_j^T``.

    Source: Oja 1982, in Irie & Schmidhuber 2023, section 4.3; the released code's two variants.
    """
    batch, channels, num_steps, height = value.shape
    current = value.new_zeros(batch, channels, height, key.shape[-1]) if canvas is None else canvas
    rows, cols = [], []
    for t in range(num_steps):
        k, v, beta = key[:, :, t], value[:, :, t], rate[:, :, t]
        p = k - torch.einsum("bchw,bch->bcw", current, v)
        if softmax:
            p = p.softmax(dim=-1)
        u = beta * v
        current = current + torch.einsum("bch,bcw->bchw", u, p)
        rows.append(u)
        cols.append(p)
    return torch.stack(rows, dim=2), torch.stack(cols, dim=2)


def local_attention(q: Tensor, k: Tensor, v: Tensor, radius: int = 1) -> Tensor:
    """Attend to the (2·radius+1)² neighbourhood of each pixel, zeros beyond the border.

    Args:
        q: queries [B H W N D]: N heads.
        k: keys [B H W N D].
        v: values [B H W N D].
        radius: pixels to each side.

    Returns:
        [B H W N D].
    """
    batch, height, width, heads, d_head = q.shape
    size = 2 * radius + 1

    def neighbourhoods(x: Tensor) -> Tensor:
        maps = x.permute(0, 3, 4, 1, 2).flatten(0, 1)  # [B·N D H W]
        cut = F.unfold(maps, size, padding=radius)  # [B·N D·size² H·W]
        cut = cut.view(batch, heads, d_head, size**2, height, width)
        return cut.permute(0, 4, 5, 1, 3, 2)  # [B H W N size² D]

    scores = torch.einsum("bhwnd,bhwnsd->bhwns", q * d_head**-0.5, neighbourhoods(k))
    return torch.einsum("bhwns,bhwnsd->bhwnd", scores.softmax(dim=-1), neighbourhoods(v))
