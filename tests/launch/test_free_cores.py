"""Threads are as many as other programs leave cores for, unless the user has decided otherwise."""

import logging
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from fpainter.launch import free_cores
from fpainter.launch.free_cores import FreeCores

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/stat")
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


class Machine:
    """Four cores, a clock and this process's time, which tests let pass."""

    def __init__(self, tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
        self.file = tmp_path / "stat"
        self.clock = self.own = 0.0
        self.cores = [0.0] * 4
        patch.setattr(free_cores, "_STATISTICS", self.file)
        patch.setattr(free_cores.os, "sched_getaffinity", lambda _: {0, 1, 2})  # not the last
        patch.setattr(free_cores.time, "monotonic", lambda: self.clock)
        patch.setattr(free_cores.time, "process_time", lambda: self.own)
        self.torch_s: list[int] = []
        torch = SimpleNamespace(set_num_threads=self.torch_s.append)
        patch.setitem(sys.modules, "torch", torch)
        patch.delenv("OMP_NUM_THREADS", raising=False)
        self.passes(0, [0, 0, 0, 0])

    def passes(self, seconds: float, busy: list[float], own: float = 0.0) -> None:
        """Let time pass in which each core was busy for some seconds."""
        self.clock += seconds
        self.own += own
        self.cores = [before + more for before, more in zip(self.cores, busy, strict=True)]
        rows = [
            f"cpu{i} {round(b * TICKS)} 0 0 {round((self.clock - b) * TICKS)} 0 0 0 0 7 7"
            for i, b in enumerate(self.cores)
        ]
        self.file.write_text("\n".join(["cpu  1 2 3 4 5 6 7 8 9 9", *rows, "intr 5 0 0"]))


@pytest.mark.parametrize(
    ("busy", "own", "threads"),
    [
        ([0.0, 0.0, 0.0, 2.0], 0.0, None),  # a core that is not for this process
        ([1.0, 0.5, 0.1, 0.0], 1.5, None),  # its own work
        ([0.4, 0.2, 0.2, 0.0], 0.0, None),  # a moment
        ([2.0, 0.3, 0.0, 0.0], 0.2, "2"),
        ([2.0, 2.0, 2.0, 2.0], 0.1, "1"),
    ],
)
def test_threads(
    busy: list[float], own: float, threads: str | None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    machine = Machine(tmp_path, monkeypatch)
    caplog.set_level(logging.INFO)
    cores = FreeCores()
    machine.passes(2, busy, own)
    cores.use()
    assert os.environ.get("OMP_NUM_THREADS") == threads
    assert machine.torch_s == ([] if threads is None else [int(threads)])
    assert bool(caplog.records) == (threads is not None)
    if threads == "1":
        assert "use 2 of 3 cores: 1 thread (" in caplog.text


def test_what_the_user_has_set_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path, monkeypatch)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    cores = FreeCores()
    machine.passes(2, [2, 2, 2, 0])
    cores.use()
    assert os.environ["OMP_NUM_THREADS"] == "3"


def test_other_systems_have_torch_s_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path, monkeypatch)
    machine.file.unlink()
    FreeCores().use()
    assert "OMP_NUM_THREADS" not in os.environ
