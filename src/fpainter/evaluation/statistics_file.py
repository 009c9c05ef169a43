"""Tensors on disk that appear whole or not at all, and are computed by one run only."""

import logging
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from fpainter.evaluation.processes import from_first, rank
from fpainter.files import replacing

log = logging.getLogger(__name__)

_CHECKSUM = "crc32"
_SECONDS_BETWEEN_LOOKS = 0.5

Shapes = Mapping[str, tuple[int, ...]]


def cached(
    path: Path,
    shapes: Shapes,
    compute: Callable[[], dict[str, Tensor]],
    wait: Callable[[], None] = lambda: None,
    what: str = "statistics",
) -> dict[str, Tensor]:
    """Read tensors from a file; compute and write them if they are not there.

    All processes of a run call this together. The first one reads and writes; all compute.

    Args:
        path: named after everything the tensors depend on.
        shapes: of each tensor; a file that holds others is damaged.
        compute: makes the tensors; what the first process returns counts.
        wait: called now and then while another run of this machine makes them.
        what: they are, for messages.

    Returns:
        The tensors, mapped from the file where they were in it; in the first process alone.
    """
    found = _read(path, shapes, what)
    if from_first(found is None):
        with _alone(path, wait, what):
            # Another run may have done the work while this one waited for its turn. That a file is
            # damaged was said at the first look.
            found = _read(path, shapes, what, log.debug)
            if from_first(found is None):
                found = compute()
                if rank() == 0:
                    write(path, found)
    return found if found is not None and rank() == 0 else {}


def _read(
    path: Path, shapes: Shapes, what: str, say: Callable[..., None] = log.warning
) -> dict[str, Tensor] | None:
    """Return the tensors of a file; None if it is missing or damaged, or in other processes."""
    if rank() > 0 or not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in shapes}
            checksum = file.get_tensor(_CHECKSUM)
    # A damaged header leads the reader to types and sizes that no tensor can have.
    except Exception as error:
        say("%s cannot be read (%s); computing the %s again", path, error, what)
        return None
    fit = all(tuple(tensors[name].shape) == shapes[name] for name in shapes)
    if not fit or not torch.equal(checksum, _checksum(tensors)):
        say("%s does not hold what its name says; computing the %s again", path, what)
        return None
    return tensors


def write(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a file that `cached` reads.

    Args:
        path: its folder is created if need be.
        tensors: of any type and shape.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        save_file(contiguous | {_CHECKSUM: _checksum(tensors)}, temporary)


def _checksum(tensors: Mapping[str, Tensor]) -> Tensor:
    """Return a number [] that tells of bits that flipped, which the format does not notice."""
    found = 0
    for name in sorted(tensors):
        data = tensors[name].cpu().contiguous().flatten().view(torch.uint8).numpy().data
        found = zlib.crc32(f"{name} {tensors[name].dtype}".encode(), found)
        found = zlib.crc32(data, found)
    return torch.tensor(found)


@contextmanager
def _alone(path: Path, wait: Callable[[], None], what: str) -> Iterator[None]:
    """Let one run of this machine at a time into the block of a path; the others wait.

    The first process holds the lock and tells the others of its run at every look that they still
    wait, so that none of them runs out of patience. The lock is the system's: it is gone when its
    process is.
    """
    lock = FileLock(path.with_name(f".{path.stem}.lock"))
    if from_first(not _take(lock)):
        log.info("another run is computing the same %s; waiting for them", what)
        while from_first(not _take(lock)):
            wait()
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    try:
        yield
    finally:
        lock.release()


def _take(lock: FileLock) -> bool:
    """Try to take a lock, in the first process; say whether that went well."""
    try:
        if rank() == 0:
            lock.acquire(blocking=False)
    except Timeout:
        return False
    return True
