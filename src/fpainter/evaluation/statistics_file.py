"""Tensors on disk that appear whole or not at all, and are computed by one process only."""

import importlib
import logging
import os
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

fcntl: Any = None
with suppress(ImportError):  # not on Windows
    fcntl = importlib.import_module("fcntl")

log = logging.getLogger(__name__)

_CHECKSUM = "crc32"


def cache_path(cache_dir: str | Path, key: str) -> Path:
    """Returns the file of a key."""
    return Path(cache_dir) / "statistics" / f"{key}.safetensors"


def cached(
    cache_dir: str | Path,
    key: str,
    shapes: Mapping[str, tuple[int, ...]],
    num: int,
    compute: Callable[[], dict[str, Tensor]],
) -> dict[str, Tensor]:
    """Reads tensors from the file of a key; computes and writes them if they are not there.

    Args:
        cache_dir: folder of the cache; created if need be.
        key: SHA-256 of everything the tensors depend on.
        shapes: of each tensor; a file that holds others is damaged.
        num: number of images they were made of; the same.
        compute: makes them, in one process of this machine at a time.
    """
    path = cache_path(cache_dir, key)
    found = _read(path, shapes, num)
    if found is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.with_name(f".{path.stem}.lock")):
            # Another process may have done the work while this one waited for its turn.
            found = _read(path, shapes, num)
            if found is None:
                found = compute()
                write(path, found, num)
    return found


def _read(path: Path, shapes: Mapping[str, tuple[int, ...]], num: int) -> dict[str, Tensor] | None:
    """Returns the tensors of a file; None if it is missing or damaged."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in shapes}
            stored = int((file.metadata() or {}).get("num", "-1"))
            checksum = file.get_tensor(_CHECKSUM)
    # A damaged header leads the reader to types and sizes that no tensor can have.
    except Exception as error:
        log.warning("%s cannot be read (%s); computing the statistics again", path, error)
        return None
    fit = stored == num and all(tuple(tensors[name].shape) == shapes[name] for name in shapes)
    if not fit or not torch.equal(checksum, _checksum(tensors)):
        log.warning("%s does not hold what its name says; computing the statistics again", path)
        return None
    return tensors


def write(path: Path, tensors: dict[str, Tensor], num: int) -> None:
    """Writes tensors made of `num` images beside the file, and swaps.

    Args:
        path: as `cache_path` returns it; its folder exists.
        tensors: of any type and shape.
        num: number of images.
    """
    temporary = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
    try:
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        contiguous[_CHECKSUM] = _checksum(tensors)
        save_file(contiguous, temporary, metadata={"num": str(num)})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _checksum(tensors: Mapping[str, Tensor]) -> Tensor:
    """Returns a number [] that tells of bits that flipped, which the format does not notice."""
    found = 0
    for name in sorted(tensors):
        data = tensors[name].cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        found = zlib.crc32(f"{name} {tensors[name].dtype}".encode(), found)
        found = zlib.crc32(data, found)
    return torch.tensor(found)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Lets one process of this machine at a time into a key's block; the others wait.

    The lock is the system's: it is gone when its process is. Without such locks (on Windows) all
    enter, and do the same work.
    """
    if fcntl is None:
        yield
        return
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
