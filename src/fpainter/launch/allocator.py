"""How the C library hands out memory."""

import ctypes
import os

# What mallopt's options are called in glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST, _NEVER = 2**31 - 1, -1
_SETTINGS = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")


def keep_freed_memory() -> None:
    """Let the process keep the memory of freed tensors for the next ones.

    By default glibc returns each large tensor's memory to the system and asks for it again, zeroed
    page by page: a third of a training iteration on a CPU. In exchange the process looks as large
    as it has ever been. Nothing changes where the user has set glibc's own variables or where the
    C library is another.
    """
    if any(name in os.environ for name in _SETTINGS):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, _NEVER)
