"""Running what may crash, hang or do harm in a process of its own, watched and limited."""

import os
import resource
import sys
import tempfile
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.cli.forks import SERVER

GIB = 1 << 30
_HARM = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect")


def confined(
    task: Callable[..., dict[str, Any]],
    folder: Path,
    *args: Any,
    seconds: float,
    memory: int = 2 * GIB,
) -> dict[str, Any]:
    """Run a function in a new process that may write below one folder only.

    Args:
        task: called with `folder` and `args`; must be importable by its name.
        folder: its working directory, and that of its temporary files.
        args: whatever can be pickled.
        seconds: after which it counts as hanging.
        memory: bytes of addresses that it may take in addition to what its imports took.

    Returns:
        What `task` returns, and as ``harm`` every file opened for writing elsewhere, every program
        started and every connection made.
    """
    here, there = SERVER.Pipe(duplex=False)
    process = SERVER.Process(target=_confine, args=(there, task, folder, memory, args))
    process.start()
    there.close()
    try:
        assert here.poll(seconds), f"hangs: no answer within {seconds} s"
        result: dict[str, Any] = here.recv()
    except EOFError:
        process.join()
        raise AssertionError(f"the process died with exit code {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
        here.close()
    assert "failed" not in result, result["failed"]
    return result


def _confine(
    pipe: Connection, task: Callable[..., Any], folder: Path, memory: int, args: tuple[Any, ...]
) -> None:
    os.chdir(folder)
    tempfile.tempdir = str(folder)
    harm: list[str] = []
    inside = str(folder.resolve())

    def watch(event: str, details: tuple[Any, ...]) -> None:
        if event.startswith(_HARM):
            harm.append(f"{event} {details}")
        elif event == "open" and isinstance(details[0], str | bytes | os.PathLike):
            path, flags = os.path.realpath(os.fsdecode(details[0])), details[2]
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes and not path.startswith((inside, "/dev/null", "/dev/shm")):
                harm.append(f"write {path}")

    sys.addaudithook(watch)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + memory, resource.RLIM_INFINITY))
    # The decoders' C libraries write straight to the standard error.
    messages = os.open(folder / "stderr.txt", os.O_WRONLY | os.O_CREAT)
    os.dup2(messages, 2)
    try:
        result = task(folder, *args)
    except BaseException:
        result = {"failed": traceback.format_exc()}
    pipe.send({**result, "harm": harm})
