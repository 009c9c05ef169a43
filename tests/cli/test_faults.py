"""Disks, memory and folders that fail while training cost a sentence, and no run."""

import contextlib
import csv
import errno
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from fpainter.launch import messages
from fpainter.tasks import assembled
from fpainter.training.gan_module import GANModule
from tests.cli.conftest import refused, run
from tests.cli.test_commands import pytestmark as lightning_warnings
from tests.cli.test_commands import rows
from tests.cli.test_kills import TINY, state

pytestmark = lightning_warnings


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let no file become larger, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def broken_off(run_dir: Path) -> str:
    """Let a run of two iterations go on until something fails, which must cost it nothing."""
    before = {p: p.read_bytes() for p in (run_dir / "checkpoints").iterdir()}
    message = refused("train", f"hydra.run.dir={run_dir}", "ckpt=last", "num_iterations=6")
    assert len(message.splitlines()) == 1
    assert {p: p.read_bytes() for p in (run_dir / "checkpoints").iterdir()} == before
    return message


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A run of two iterations with a score."""
    options = ["fid.enabled=true", "fid.every=2", "fid.num_images=6", "callbacks.samples.every=1"]
    run("train", *TINY, *options, "num_iterations=2", f"hydra.run.dir={tmp_path / 'run'}")
    return tmp_path / "run"


def finishes(run_dir: Path) -> None:
    run("train", f"hydra.run.dir={run_dir}", "ckpt=last", "num_iterations=6")
    assert [row["iteration"] for row in rows(run_dir)] == ["1", "2", "3", "4", "5", "6"]


def test_a_disk_that_is_full_when_saving(begun: Path) -> None:
    with files_of_at_most(40_000):
        message = broken_off(begun)
    assert ".ckpt: File too large; the state saved before is whole" in message
    finishes(begun)


def test_ctrl_c_while_saving(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch says about the archive that it could not close does not hide it."""
    write = torch._C.PyTorchFileWriter.write_record

    def interrupt(writer: Any, name: str, data: Any, size: int) -> None:
        write(writer, name, data, size)
        if name.startswith("data/"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch._C.PyTorchFileWriter, "write_record", interrupt)
        with pytest.raises(SystemExit) as stopped:
            run("train", "ckpt=last", f"hydra.run.dir={begun}", "num_iterations=6")
    assert stopped.value.code == 1  # Lightning's
    assert state(begun)["iteration"] == 2
    finishes(begun)


def test_ctrl_c_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(assembled, "seed_everything", interrupt)
    with pytest.raises(SystemExit, match="fpainter: stopped by Ctrl-C"):
        run("train", *TINY, f"hydra.run.dir={tmp_path}")


def test_a_disk_that_is_full_when_metrics_are_written(
    begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(csv.DictWriter, "writerow", full)
        assert f"{begun}: No space left on device" in broken_off(begun)
    finishes(begun)


def test_a_folder_that_cannot_be_written(begun: Path, tmp_path: Path) -> None:
    shutil.rmtree(begun / "samples")
    (begun / "samples").touch()
    assert f"{begun / 'samples'}: File exists" in broken_off(begun)
    (begun / "samples").unlink()
    finishes(begun)
    (tmp_path / "file").touch()
    for command in ("train", "stats", "benchmark"):
        message = refused(command, f"hydra.run.dir={tmp_path / 'file' / 'run'}")
        assert f"{tmp_path / 'file' / 'run'}" in message
        assert "Not a directory" in message


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (None, "can't allocate memory: you tried to allocate"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "CUDA out of"),
        (MemoryError(), "out of memory (MemoryError)"),
    ],
)
def test_out_of_memory(
    error: BaseException | None, words: str, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*_: object) -> None:
        if error is not None:
            raise error
        torch.empty(2**60, dtype=torch.uint8)

    monkeypatch.setattr(GANModule, "training_step", train)
    message = broken_off(begun)
    assert words in message
    assert all(key in message for key in ("batch_size", "model.accumulate", "image_size"))


@pytest.mark.parametrize(
    "error",
    [RuntimeError("a mistake"), FileNotFoundError(2, "none", messages.__file__), OSError(9)],
)
def test_mistakes_of_ours_keep_their_traceback(
    error: BaseException, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*_: object) -> None:
        raise error

    monkeypatch.setattr(GANModule, "training_step", train)
    with pytest.raises(type(error)):
        run("train", "ckpt=last", f"hydra.run.dir={begun}", "num_iterations=3")


def test_a_process_that_lost_another_says_so(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*_: object) -> None:
        raise RuntimeError("[/third_party/gloo/transport/tcp/pair.cc:5] Read error. This is …")

    monkeypatch.setattr(GANModule, "training_step", train)
    message = broken_off(begun)
    assert "another process of this run was killed or has failed" in message
    assert "Read error" in message
