"""What the processes of one run tell each other; a run of one process is the first and only."""

from typing import TypeVar

from torch import Tensor, distributed

T = TypeVar("T")


def world_size() -> int:
    """Return the number of processes that work together."""
    joined = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if joined else 1


def rank() -> int:
    """Return this process's number, in [0, world_size)."""
    return distributed.get_rank() if world_size() > 1 else 0


def from_first(value: T) -> T:
    """Return what the first process gave; every process must call this."""
    if world_size() == 1:
        return value
    box = [value]
    distributed.broadcast_object_list(box, src=0)
    return box[0]


def summed(x: Tensor) -> Tensor:
    """Add up what all processes give, in place, and return it; every process must call this."""
    if world_size() > 1:
        distributed.all_reduce(x)
    return x
