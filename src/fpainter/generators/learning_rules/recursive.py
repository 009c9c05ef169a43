"""Recursive least squares."""

from collections.abc import Callable

import torch
from torch import Tensor

from fpainter.generators.learning_rules.base import LearningRule, outer, read
from fpainter.ops.strokes import Strokes

SMALLEST_RATE = 1e-6
CHUNK = 64


class RecursiveRule(LearningRule):
    r"""Every canvas is the best answer to all keys so far, in weighted least squares.

    ``W_t = argmin sum_j beta_j |v_j - W k_j|^2 + ridge |W - W_0|^2``. What a stroke promised is
    kept, whatever comes later; the price is a canvas with larger entries, the larger the smaller
    the ridge. One step is that of the delta rule along another key, the gain.

    Args:
        ridge: weight of staying where the canvas was, positive.

    Raises:
        ValueError: if it is not.

    Source: recursive least squares (Plackett 1950); Mesa layers (von Oswald et al. 2023, 2025).
    """

    equation = (
        r"W_t = W_{t-1} + (v_t - W_{t-1} k_t) g_t^\top,"
        r" \quad g_t = P_{t-1} k_t / (\beta_t^{-1} + k_t^\top P_{t-1} k_t),"
        r" \quad P_t = P_{t-1} - g_t k_t^\top P_{t-1}"
    )
    source = "Plackett 1950; Mesa, von Oswald et al. 2023"
    anywhere = False
    one_rate = True

    def __init__(self, ridge: float = 0.1) -> None:
        super().__init__()
        if not ridge > 0:
            raise ValueError(f"ridge must be positive; got {ridge}")
        self.ridge = ridge

    def stepper(self) -> Callable[..., Tensor]:
        """Return steps that remember which keys they have seen: P, the inverse of what they weigh.

        Raises:
            ValueError: in a step, if rates are of rows.
        """
        certain: Tensor | None = None

        def step(canvas: Tensor, key: Tensor, value: Tensor, rate: Tensor) -> Tensor:
            nonlocal certain
            noise = _noise(rate)
            if certain is None:
                certain = self._certain(key)
            turned = read(certain, key)
            gain = turned / (noise + (turned * key).sum(dim=-1, keepdim=True))
            certain = certain - outer(gain, turned)
            return canvas + outer(value - read(canvas, key), gain)

        return step

    def strokes(self, key: Tensor, value: Tensor, rate: Tensor) -> Strokes:
        """Read at the keys, write at the gains.

        With ``L L^T = K P_0 K^T + diag(1 / beta)``, the rows of ``L^-1 K P_0``, each over its entry
        of the diagonal of L, are the gains: leading blocks of a Cholesky factor are the factors of
        leading blocks. It is done for some dozens of steps at a time, and P carried on.

        Raises:
            ValueError: if rates are of rows.
        """
        certain, gains = self._certain(key), []
        for k, beta in zip(key.split(CHUNK, dim=2), rate.split(CHUNK, dim=2), strict=True):
            turned = k @ certain  # [B C T W]
            noise = torch.diag_embed(_noise(beta)[..., 0])
            lower = torch.linalg.cholesky(turned @ k.mT + noise)
            found = torch.linalg.solve_triangular(lower, turned, upper=False)
            gains.append(found / lower.diagonal(dim1=-2, dim2=-1).unsqueeze(-1))
            certain = certain - found.mT @ found
        return Strokes(value, torch.cat(gains, dim=2), key, torch.ones_like(rate))

    def _certain(self, key: Tensor) -> Tensor:
        return torch.eye(key.shape[-1]).to(key) / self.ridge


def _noise(rate: Tensor) -> Tensor:
    """Return ``1 / beta`` [... 1], what a step's value may be wrong by.

    Raises:
        ValueError: if there is more than one rate for a step.
    """
    if rate.shape[-1] != 1:
        raise ValueError(
            f"the recursive rule takes one rate for each step, rate=scalar; got {rate.shape[-1]}"
        )
    return 1 / rate.clamp_min(SMALLEST_RATE)
