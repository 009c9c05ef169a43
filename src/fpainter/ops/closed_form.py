r"""The learning rules without a loop over painting steps.

Every rule returns the factors of its rank-1 updates, so that ``W_t = W_0 + sum_{j<=t} u_j p_j^T``
for all t at once. What a stroke writes depends on what all earlier ones have left at the place
where it reads,

    u_t = beta_t (v_t - W_0 r_t - sum_{j<t} u_j (p_j . r_t)),

which is one unit lower-triangular system per channel, solved by a single batched call:

    (I + diag(beta) tril(R P^T, -1)) U = diag(beta) (V - R W_0^T).

The delta rule reads where it writes. Where the canvas fades, the same holds of values, reads and
writes in coordinates that undo the fade. Oja's rule is the mirror image: there the keys are
corrected, and the system is in the values,

    (I + tril(V U^T, -1)) P = K - V W_0        with U = diag(beta) V.

The system grows with T²; beyond a few dozen steps it is cheaper to solve for one chunk of
steps after the other, each on the canvas that the chunk before has left. Memory then grows with T.
"""

from itertools import repeat
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from fpainter.ops.precision import full_precision
from fpainter.ops.rank_one import image

CHUNK = 64  # steps solved together; the fastest of 16, 32, ..., 512 on a CPU
CHUNK_PER_ROW = 16  # the same with a system for each image row


@full_precision
def program(
    value: Tensor,
    write: Tensor,
    read: Tensor | None,
    rate: Tensor,
    fade_rows: Tensor | None = None,
    fade_columns: Tensor | None = None,
    canvas: Tensor | None = None,
) -> Tensor:
    """Run a program of strokes; see `fpainter.ops.strokes.Strokes` for all arguments but one.

    Args:
        value: v [B C S H].
        write: p [B C S W].
        read: r [B C S W] or None.
        rate: beta [B C S 1 or H].
        fade_rows: logarithms [B C S H or 1] or None. Those of 64 strokes in a row must not come to
            less than -88 in any row or column, or numbers of single precision overflow.
        fade_columns: logarithms [B C S W or 1] or None.
        canvas: W_0 [B C H W]; None means zeros.

    Returns:
        u [B C S H], with which each stroke adds ``u_s p_s^T``.
    """
    if read is None:
        return rate * value
    size = CHUNK if rate.shape[-1] == 1 else CHUNK_PER_ROW
    done: list[Tensor] = []
    before: tuple[Any, ...] = ()
    parts = (x.split(size, dim=2) for x in (value, write, read, rate))
    fades = (repeat(None) if x is None else x.split(size, dim=2) for x in (fade_rows, fade_columns))
    for v, p, r, beta, a, b in zip(*parts, *fades, strict=False):
        if done:
            canvas = image(done[-1], *before)
        done.append(_solve(v, p, r, beta, a, b, canvas))
        before = (p, canvas, a, b)
    return done[0] if len(done) == 1 else torch.cat(done, dim=2)


def _solve(
    value: Tensor,
    write: Tensor,
    read: Tensor,
    rate: Tensor,
    fade_rows: Tensor | None,
    fade_columns: Tensor | None,
    canvas: Tensor | None,
) -> Tensor:
    """Solve for all strokes at once, in coordinates that undo what has faded until each stroke."""
    if fade_columns is not None:
        faded = fade_columns.cumsum(dim=2)
        read, write = read * faded.exp(), write * (-faded).exp()
    if fade_rows is not None:
        fade_rows = fade_rows.cumsum(dim=2)
        value = value * (-fade_rows).exp()
    target = value if canvas is None else value - read @ canvas.mT  # [B C S H]
    overlap = read @ write.mT  # [B C S S]
    if rate.shape[-1] == 1:
        system, right = rate * overlap, rate * target
        if system.shape[1] == 1:  # one system for all channels, which are more right sides
            channels = right.shape[1]
            right = rearrange(right, "b c s h -> b 1 s (c h)")
        # Only the strictly lower triangle is read: the diagonal counts as one.
        rows = torch.linalg.solve_triangular(system, right, upper=False, unitriangular=True)
        if system.shape[1] == 1:
            rows = rearrange(rows, "b 1 s (c h) -> b c s h", c=channels)
    else:
        # With a rate per image row, each of the H rows has a system of its own.
        per_row = rate.mT  # [B C H S]
        systems = per_row.unsqueeze(-1) * overlap.unsqueeze(2)  # [B C H S S]
        right = (per_row * target.mT).unsqueeze(-1)  # [B C H S 1]
        solved = torch.linalg.solve_triangular(systems, right, upper=False, unitriangular=True)
        rows = solved[..., 0].mT  # [B C S H]
    return rows if fade_rows is None else rows * fade_rows.exp()


@full_precision
def delta_rule(
    key: Tensor, value: Tensor, rate: Tensor, canvas: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    r"""Program a canvas with the delta rule and return its rank-1 factors.

    ``W_t = W_{t-1} + rate_t (v_t - W_{t-1} k_t) k_t^T``: what the canvas answers to the key is
    moved towards the value.

    Args:
        key: column patterns k [B C T W].
        value: row patterns v [B C T H], in the range of the canvas.
        rate: write strengths, usually in (0, 1): [B C T 1], or [B C T H] for one per row.
        canvas: W_0 [B C H W]; None means zeros.

    Returns:
        rows u [B C T H] and cols p [B C T W].

    Raises:
        ValueError: if the shapes do not belong together.

    Source: Irie & Schmidhuber 2023, Eq. 9; the triangular form is that of a DeltaNet chunk
    (Yang et al. 2024) with a single chunk and no query.
    """
    _check_shapes(key, value, rate, canvas)
    return program(value, key, key, rate, canvas=canvas), key


@full_precision
def sum_rule(
    key: Tensor, value: Tensor, rate: Tensor, canvas: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Add every outer product to the canvas, whatever is on it: ``u_t = rate_t v_t``.

    Args:
        key: column patterns k [B C T W].
        value: row patterns v [B C T H].
        rate: write strengths [B C T 1] or [B C T H].
        canvas: W_0 [B C H W] or None; it changes nothing but is checked.

    Returns:
        rows [B C T H] and cols [B C T W].

    Raises:
        ValueError: if the shapes do not belong together.

    Source: Irie & Schmidhuber 2023, section 2.1 (there with all rates one).
    """
    _check_shapes(key, value, rate, canvas)
    return rate * value, key


@full_precision
def oja_rule(
    key: Tensor,
    value: Tensor,
    rate: Tensor,
    canvas: Tensor | None = None,
    softmax: bool = False,
) -> tuple[Tensor, Tensor]:
    r"""Program a canvas with Oja's rule and return its rank-1 factors.

    ``W_t = W_{t-1} + rate_t v_t (k_t - W_{t-1}^T v_t)^T``: what the canvas answers to the value,
    read backwards, is taken off the key.

    Args:
        key: column patterns k [B C T W].
        value: row patterns v [B C T H]; with one rate per step the canvas is not
            blown up while ``rate_t |v_t|^2 <= 2``.
        rate: write strengths, usually in (0, 1): [B C T 1], or [B C T H] for one per row.
        canvas: W_0 [B C H W]; None means zeros.
        softmax: replace each corrected key by its softmax over the W columns. No linear system
            does that: it takes T short steps, over factors, never over pictures.

    Returns:
        rows u [B C T H] and cols p [B C T W].

    Raises:
        ValueError: if the shapes do not belong together.

    Source: Oja 1982, in Irie & Schmidhuber 2023, section 4.3 (named, without an equation); the
    released code decides what is multiplied by the rate (the value, from the first step on).
    """
    _check_shapes(key, value, rate, canvas)
    solve = _iterate_oja if softmax else _solve_oja
    factors: list[tuple[Tensor, Tensor]] = []
    for k, v, beta in zip(*(x.split(CHUNK, dim=2) for x in (key, value, rate)), strict=True):
        if factors:
            canvas = image(*factors[-1], canvas)
        factors.append(solve(k, v, beta, canvas))
    if len(factors) == 1:
        return factors[0]
    rows, cols = zip(*factors, strict=True)
    return torch.cat(rows, dim=2), torch.cat(cols, dim=2)


def _solve_oja(
    key: Tensor, value: Tensor, rate: Tensor, canvas: Tensor | None
) -> tuple[Tensor, Tensor]:
    rows, target, overlap = _system_of_oja(key, value, rate, canvas)
    # Only the strictly lower triangle is read: the diagonal counts as one.
    cols = torch.linalg.solve_triangular(overlap, target, upper=False, unitriangular=True)
    return rows, cols


def _iterate_oja(
    key: Tensor, value: Tensor, rate: Tensor, canvas: Tensor | None
) -> tuple[Tensor, Tensor]:
    rows, target, overlap = _system_of_oja(key, value, rate, canvas)
    finished = []
    for t in range(key.shape[2]):
        # `target` holds the keys from t on, already corrected by all steps before t.
        p = target[:, :, :1].softmax(dim=-1)  # [B C 1 W]
        target = target[:, :, 1:] - overlap[:, :, t + 1 :, t : t + 1] * p
        finished.append(p)
    return rows, torch.cat(finished, dim=2)


def _system_of_oja(
    key: Tensor, value: Tensor, rate: Tensor, canvas: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    rows = rate * value  # [B C T H]
    target = key if canvas is None else key - value @ canvas  # [B C T W]
    return rows, target, value @ rows.mT  # the last [B C T T], entry (t, j) = v_t . u_j


def _check_shapes(key: Tensor, value: Tensor, rate: Tensor, canvas: Tensor | None) -> None:
    shapes = f"key {tuple(key.shape)}, value {tuple(value.shape)}, rate {tuple(rate.shape)}"
    if not (key.ndim == value.ndim == rate.ndim == 4):
        raise ValueError(f"key, value and rate must be [B C T *]; got {shapes}")
    if not (key.shape[:3] == value.shape[:3] == rate.shape[:3]):
        raise ValueError(f"key, value and rate must agree in batch, channels and steps: {shapes}")
    height, width = value.shape[-1], key.shape[-1]
    if rate.shape[-1] not in (1, height):
        raise ValueError(f"rate must end in 1 or in the {height} rows of value; got {shapes}")
    if canvas is not None and canvas.shape != (*key.shape[:2], height, width):
        raise ValueError(
            f"canvas must be [B C H W] = {(*key.shape[:2], height, width)}; "
            f"got {tuple(canvas.shape)}"
        )
