"""Processes without a start for each: forks of one that has imported all.

A start takes seconds, nearly all of them for imports. Those that work together know of each other
as processes do that ``torchrun`` starts, and are quickened as other runs of the tests are. Where a
process is to start the second of its run by itself, a fork made beforehand takes that one's place.
"""

import json
import multiprocessing
import os
import runpy
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from lightning.pytorch.strategies.launchers import subprocess_script

from tests.cli.conftest import MAINS, quicken
from tests.composing import remember

ROOT = Path(__file__).resolve().parents[2]
SERVER = multiprocessing.get_context("forkserver")  # has no threads, so that it can be forked
FORKS = multiprocessing.get_context("fork")
SERVER.set_forkserver_preload(["fpainter.tasks.eval", "fpainter.tasks.train", __name__])
Command = Sequence[object]  # the name of an entry point, and its arguments


def in_a_process(*arguments: object, seconds: int = 3600) -> CompletedProcess[str]:
    """Run a module as the program of a process, first of a group; return when it has ended."""
    path = os.pathsep.join(filter(None, [str(ROOT), *sys.path]))
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    program = list(map(str, arguments))
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, name) for name in ("out", "err")]
        process = SERVER.Process(target=_become, args=(program, environment, *outputs))
        process.start()
        try:
            process.join(seconds)
        finally:
            if process.exitcode is None:
                assert process.pid is not None
                os.killpg(process.pid, signal.SIGKILL)
        if process.exitcode is None:
            raise TimeoutError(f"{program} after {seconds} s: {outputs[1].read_text()}")
        return CompletedProcess(program, process.exitcode, *(o.read_text() for o in outputs))


def _become(program: list[str], environment: dict[str, str], out: Path, err: Path) -> None:
    os.setpgid(0, 0)
    for number, path in ((1, out), (2, err)):
        with path.open("w") as file:
            os.dup2(file.fileno(), number)
    remember()
    Started.prepare(2)
    try:
        _run_module(program, environment)
    finally:
        Started.spare.clear()


def _run_module(program: list[str], environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(1)
    sys.argv = program
    runpy.run_module(program[0], run_name="__main__", alter_sys=True)


class Started:
    """A process as `subprocess.Popen` would start it: a fork that has waited for its command."""

    spare: ClassVar[list[tuple[Any, Any]]] = []  # forks, and where each reads

    def __init__(self, command: list[str], env: dict[str, str], cwd: str) -> None:
        assert (command[:2], cwd) == ([sys.executable, "-m"], os.getcwd())
        self.process, pipe = self.spare.pop()
        pipe.send((command[2:], env))
        self.pid, self.returncode = self.process.pid, None

    def poll(self) -> None:
        """Find out whether it has ended."""
        self.returncode = self.process.exitcode

    def send_signal(self, number: int) -> None:
        """Tell it something, if it has not ended."""
        if self.process.exitcode is None:
            os.kill(self.pid, number)

    @classmethod
    def prepare(cls, num: int) -> None:
        """Let Lightning start as many processes so; what is left of them ends when forgotten."""
        for _ in range(num):
            reader, writer = FORKS.Pipe(duplex=False)
            process = FORKS.Process(target=cls.wait, args=(reader, writer))
            process.start()
            reader.close()
            cls.spare.append((process, writer))
        subprocess_script.subprocess = SimpleNamespace(Popen=cls)  # type: ignore[assignment]

    @classmethod
    def wait(cls, reader: Any, writer: Any) -> None:
        """Do what comes, if anything does."""
        writer.close()
        cls.spare.clear()
        try:
            program, environment = reader.recv()
        except EOFError:
            return
        _run_module(program, environment)


def run_together(*groups: Sequence[Command], related: bool = True) -> str:
    """Run groups of commands, one group after another, each command in a process of its own.

    Args:
        groups: of commands that run at the same time.
        related: the processes of a group share the work of one run; else none knows of another.

    Returns:
        All they wrote.
    """
    plain = [[list(map(str, command)) for command in group] for group in groups]
    done = in_a_process("tests.cli.forks", json.dumps([plain, related]))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _run(command: list[str], environment: dict[str, str]) -> None:
    os.environ |= environment
    sys.argv = [f"fpainter-{command[0]}", *command[1:]]
    MAINS[command[0]]()


def _as_torchrun(rank: int, size: int, port: int) -> dict[str, str]:
    each = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": size}
    where = {"LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {k: str(v) for k, v in (each | where | {"TORCHELASTIC_RUN_ID": "forks"}).items()}


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


def main(groups: list[list[list[str]]], related: bool) -> None:
    """Fork; exit with 1 where a fork fails."""
    quicken(pytest.MonkeyPatch())
    for group in groups:
        size, port = len(group), _free_port()
        started = [
            FORKS.Process(
                target=_run,
                args=(command, _as_torchrun(rank, size, port) if related and size > 1 else {}),
            )
            for rank, command in enumerate(group)
        ]
        for process in started:
            process.start()
        for process in started:
            process.join()
        if any(process.exitcode for process in started):
            sys.exit(f"{group}: {[process.exitcode for process in started]}")


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
