"""The device and the processes that a command uses."""

import os

import torch

from fpainter.errors import UserError, first_line


def pick_device(name: str) -> torch.device:
    """Return the device called `name`; ``auto`` is a GPU when there is one.

    Raises:
        UserError: if torch knows no such device, or this machine has none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
        return device
    except (AssertionError, RuntimeError) as error:  # the former without CUDA in torch
        raise UserError(f"device={name}: {first_line(error)}") from error


def join_processes() -> int:
    """Join the processes that torchrun started together, and return the rank of this one.

    Over their group metrics sum what each has seen.
    """
    started_together = os.environ.get("WORLD_SIZE", "1") != "1"
    if started_together and not torch.distributed.is_initialized():
        backend = "gloo"
        if torch.cuda.is_available():
            backend = "cpu:gloo,cuda:nccl"
            # From here on "cuda" is this process's own device.
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        torch.distributed.init_process_group(backend)
    return int(os.environ.get("RANK", "0"))
