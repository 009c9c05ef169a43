"""What a training has: its device, threads and memory."""

import os
from pathlib import Path
from typing import NamedTuple

import torch

_GROUP = Path("/sys/fs/cgroup/memory.max")  # what a container may take


class Machine(NamedTuple):
    """The device of a training.

    Attributes:
        device: for people, such as the name of a GPU.
        is_gpu: whether it is one.
        threads: of the processor that torch uses.
        memory: gigabytes of the device, whoever else uses them; None where unknown.
    """

    device: str
    is_gpu: bool
    threads: int
    memory: float | None

    def __str__(self) -> str:
        memory = "" if self.memory is None else f", {self.memory:.0f} GB of memory"
        threads = "" if self.is_gpu else f", {self.threads} thread{'s' * (self.threads > 1)}"
        return f"{self.device}{threads}{memory}"


def machine(accelerator: str) -> Machine:
    """Return what there is.

    Args:
        accelerator: of the trainer: auto, cpu, gpu, …
    """
    threads = torch.get_num_threads()
    if accelerator != "cpu" and torch.cuda.is_available():
        about = torch.cuda.get_device_properties(0)
        return Machine(about.name, True, threads, about.total_memory / 1e9)
    if accelerator != "cpu" and torch.backends.mps.is_available():
        return Machine("Apple's GPU", True, threads, _memory())
    return Machine("the CPU", False, threads, _memory())


def _memory() -> float | None:
    """Return the gigabytes that this process could have."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not POSIX
        return None
    limit = _GROUP.read_text().strip() if _GROUP.is_file() else "max"
    return min(total, int(limit) if limit.isdigit() else total) / 1e9
