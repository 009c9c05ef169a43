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


def paint_frame_fade_channel(
    key: Array, value: Array, rate: Array, columns: Array, rows: Array, canvas: Array
) -> list[Array]:
    """Return W_0, W_1, ..., W_T of one channel whose rows and columns fade, entry by entry.

    key [T W], value [T H], rate [T 1]; logarithms columns [T W], rows [T H]; canvas [H W].
    """
    steps, width = key.shape
    height = value.shape[1]
    canvases = [canvas.copy()]
    for t in range(steps):
        faded, after = np.empty_like(canvas), np.empty_like(canvas)
        for row in range(height):
            for column in range(width):
                left = math.exp(rows[t, row]) * math.exp(columns[t, column])
                faded[row, column] = canvases[-1][row, column] * left
        for row in range(height):
            answer = sum(faded[row, j] * key[t, j] for j in range(width))
            for column in range(width):
                change = rate[t, 0] * (value[t, row] - answer) * key[t, column]
                after[row, column] = faded[row, column] + change
        canvases.append(after)
    return canvases


def paint_removal_channel(
    key: Array,
    value: Array,
    rate: Array,
    removal: Array,
    scrape: Array,
    fade: Array,
    canvas: Array,
) -> list[Array]:
    """Return W_0, W_1, ..., W_T of one channel that is scraped and painted, entry by entry.

    ``W (diag(d) - kappa (a * kappa)^T) + beta v k^T``: key, removal kappa, scrape a and the
    logarithms of d, fade, [T W]; value [T H], rate [T 1], canvas [H W].
    """
    steps, width = key.shape
    height = value.shape[1]
    canvases = [canvas.copy()]
    for t in range(steps):
        before, after = canvases[-1], np.zeros_like(canvas)
        turned = [
            [
                (math.exp(fade[t, i]) if i == j else 0.0)
                - removal[t, i] * scrape[t, j] * removal[t, j]
                for j in range(width)
            ]
            for i in range(width)
        ]
        for row in range(height):
            for j in range(width):
                after[row, j] = sum(before[row, i] * turned[i][j] for i in range(width))
                after[row, j] += rate[t, 0] * value[t, row] * key[t, j]
        canvases.append(after)
    return canvases


def paint_over_channel(columns: Array, rows: Array, colour: Array, canvas: Array) -> list[Array]:
    """Return W_0, W_1, ..., W_T of one channel that is covered, entry by entry.

    Mattes columns [T W] times rows [T H], colour [T 1], canvas [H W].
    """
    canvases = [canvas.copy()]
    for t in range(len(colour)):
        after = np.empty_like(canvas)
        for (row, column), below in np.ndenumerate(canvases[-1]):
            alpha = rows[t, row] * columns[t, column]
            after[row, column] = (1 - alpha) * below + alpha * colour[t, 0]
        canvases.append(after)
    return canvases
