"""As many threads as other programs leave cores for."""

import logging
import os
import sys
import time
from pathlib import Path

log = logging.getLogger(__name__)

_STATISTICS = Path("/proc/stat")
_IDLE = (3, 4)  # columns of a core: idle, and waiting for a disk
_COUNTED = 8  # columns; the others are in these already


class FreeCores:
    """Watches, from when it is made, how many cores other programs use.

    The threads of a convolution wait for each other. Where another program has one of two cores,
    the one thread that is left without a turn is waited for again and again: an iteration of a
    small painter took sixteen times as long with two threads as with one. On a quiet machine the
    second thread made it seven percent faster.
    """

    def __init__(self) -> None:
        self._begun = _reading()

    def use(self) -> None:
        """Let torch have no more threads than there are free cores, before its first operation.

        Nothing changes where the user has set ``OMP_NUM_THREADS``, nor on other systems than Linux.
        """
        if "OMP_NUM_THREADS" in os.environ:
            return
        now = _reading()
        if self._begun is None or now is None:
            return
        clock, busy, own = (after - before for before, after in zip(self._begun, now, strict=True))
        cores = len(os.sched_getaffinity(0))
        taken = min(round((busy - own) / clock), cores - 1) if clock > 0 else 0
        if taken < 1:
            return
        threads = cores - taken
        os.environ["OMP_NUM_THREADS"] = str(threads)
        if "torch" in sys.modules:  # it has read the variable before
            sys.modules["torch"].set_num_threads(threads)
        log.info(
            "other programs use %d of %d cores: %d thread%s (OMP_NUM_THREADS says otherwise)",
            taken, cores, threads, "s" * (threads > 1),
        )  # fmt: skip


def _reading() -> tuple[float, float, float] | None:
    """Return seconds: by the clock, of work on this process's cores, of its own; or None."""
    try:
        lines = [line.split() for line in _STATISTICS.read_text().splitlines()]
        mine = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        ticks = os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):  # not Linux
        return None
    columns = [[int(each) for each in line[1 : _COUNTED + 1]] for line in lines if line[0] in mine]
    busy = sum(sum(core) - sum(core[i] for i in _IDLE) for core in columns)
    return time.monotonic(), busy / ticks, time.process_time()
