"""The recurrent delta net as scalar formulas in float64, written from the paper."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def softmax(entries: list[float]) -> list[float]:
    powers = [math.exp(entry) for entry in entries]
    return [power / sum(powers) for power in powers]


def recurrent_delta_net(drive: Array, recurrence: Array, state: Array) -> list[list[float]]:
    """Return h_1, ..., h_T of one head; drive [T 3D+1], recurrence [D 3D+1], state [D]."""
    size = len(state)
    memory = [[0.0] * size for _ in range(size)]
    h = [float(entry) for entry in state]
    answers = []
    for a in drive:
        written = [
            float(a[e]) + sum(math.tanh(h[d]) * float(recurrence[d, e]) for d in range(size))
            for e in range(3 * size + 1)
        ]
        query, key = softmax(written[:size]), softmax(written[size : 2 * size])
        value, rate = written[2 * size : 3 * size], 1 / (1 + math.exp(-written[-1]))
        for row in range(size):
            stored = sum(memory[row][j] * key[j] for j in range(size))
            error = value[row] - stored
            memory[row] = [memory[row][j] + rate * error * key[j] for j in range(size)]
        h = [sum(memory[row][j] * query[j] for j in range(size)) for row in range(size)]
        answers.append(h)
    return answers
