"""Freed memory is kept, unless the user has decided otherwise."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource, torch
from fpainter.launch.allocator import keep_freed_memory
keep_freed_memory()
for _ in range(10):  # until the heap has found its shape
    torch.ones(10_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.ones(10_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**environment: str) -> int:
    """Return the pages that five large tensors, one after the other, had to ask for."""
    unset = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**unset, **environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's")
def test_memory_is_used_again() -> None:
    asked = faults(MALLOC_MMAP_THRESHOLD_="131072")
    if asked < 10_000:
        pytest.skip("another C library")
    assert faults() < asked / 10
