"""Learning rules as scalar formulas in float64, written from the paper and from nothing else."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def paint_channel(rule: str, key: Array, value: Array, rate: Array, canvas: Array) -> list[Array]:
    """Return W_0, W_1, ..., W_T of one channel, entry by entry.

    key [T W], value [T H], rate [T 1 or H], canvas [H W].
    """
    steps, width = key.shape
    height = value.shape[1]
    canvases = [canvas.copy()]
    for t in range(steps):
        before, after = canvases[-1], canvases[-1].copy()
        for row in range(height):
            beta = rate[t, row % rate.shape[1]]
            answer = sum(before[row, j] * key[t, j] for j in range(width))
            error = value[t, row] - (answer if rule == "delta" else 0.0)
            for column in range(width):
                after[row, column] = before[row, column] + beta * error * key[t, column]
        canvases.append(after)
    return canvases


def paint_oja_channel(
    key: Array, value: Array, rate: Array, canvas: Array, softmax: bool
) -> list[Array]:
    """Return W_0, W_1, ..., W_T of one channel under Oja's rule, entry by entry.

    key [T W], value [T H], rate [T 1 or H], canvas [H W]; softmax: of the corrected keys.
    """
    steps, width = key.shape
    height = value.shape[1]
    canvases = [canvas.copy()]
    for t in range(steps):
        before, after = canvases[-1], canvases[-1].copy()
        corrected = [
            float(key[t, j] - sum(before[row, j] * value[t, row] for row in range(height)))
            for j in range(width)
        ]
        if softmax:
            powers = [math.exp(entry) for entry in corrected]
            corrected = [power / sum(powers) for power in powers]
        for row in range(height):
            beta = rate[t, row % rate.shape[1]]
            for column in range(width):
                after[row, column] += beta * value[t, row] * corrected[column]
        canvases.append(after)
    return canvases
