"""Measuring time and memory."""

import ctypes
import gc
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import torch

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def medians(
    functions: Mapping[str, Callable[[], Any]], repeats: int, device: torch.device
) -> dict[str, float]:
    """Time functions in turn, so that whatever else the machine does falls on all alike.

    Args:
        functions: what to call, by name; each is called once more before, to warm up.
        repeats: calls of each that count, positive.
        device: waited for before and after each call.

    Returns:
        the median of each in seconds.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(repeats + 1):
        for name, function in functions.items():
            _wait(device)
            start = time.perf_counter()
            function()
            _wait(device)
            if turn > 0:
                times[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in times.items()}


def peak_memory(function: Callable[[], Any], device: torch.device) -> float | None:
    """Return how many bytes a call needs at most on top of those in use before it.

    On a CPU this is what the system counts for the process, so let nothing else run in it.

    Returns:
        bytes; None where the system does not tell.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        in_use = torch.cuda.memory_allocated(device)
        function()
        return float(torch.cuda.max_memory_allocated(device) - in_use)
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what was freed before must not hide what is taken now
        _RESET.write_text("5")
        before = _from_status("VmRSS")
        function()
        return _from_status("VmHWM") - before
    except (OSError, AttributeError):  # not Linux, or not glibc
        return None


def most_memory(device: torch.device) -> float | None:
    """Return the bytes in use at most so far: on a GPU, or by the process with its libraries.

    Returns:
        bytes; None where the system does not tell.
    """
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    return _from_status("VmHWM") if _STATUS.is_file() else None


def _from_status(name: str) -> float:
    lines = (line.split() for line in _STATUS.read_text().splitlines())
    return next(float(line[1]) * 1024 for line in lines if line[0] == f"{name}:")


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
