"""Damaged and malicious files of weights and statistics end in a sentence, and run nothing."""

import json
import random
import resource
import shutil
import struct
import sys
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fpainter.checkpoints.inference import load_painter, read_checkpoint
from fpainter.checkpoints.legacy.checkpoint import read_original
from fpainter.errors import UserError
from fpainter.evaluation.statistics_file import cached
from fpainter.generators.base import Generator
from tests.cli.conftest import finished_run  # noqa: F401
from tests.security.confinement import GIB, confined
from tests.security.files import (
    RECORD,
    SHAPES,
    cached_images,
    pickle_of,
    saved,
    statistics,
    with_pickle,
    write_all,
)
from tests.security.mutations import mutate

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")


def read_statistics(path: Path) -> None:
    """Read the statistics, which a damaged file must not change."""
    found = cached(path, SHAPES, statistics)
    for name, tensor in statistics().items():
        assert torch.equal(found[name], tensor)


def read_legacy(path: Path) -> None:
    """Read what `import_legacy` reads first."""
    _ = read_original(path).iteration()


def read_images(path: Path) -> None:
    """Read the images, which damage to their description must not change (but to their names)."""
    images = cached_images(path.parents[2])
    assert len(images.titles) == 2
    assert images.shape == (2, 1, 8, 6)
    assert images.batch([0, 1])[:, 0, 7, 5].tolist() == [0, 1]


READERS: dict[str, Callable[[Path], Any]] = {
    "checkpoint": load_painter,
    "config": lambda path: load_painter(path.parent),
    "tensors": lambda path: Generator.from_pretrained(path.parent),
    "statistics": read_statistics,
    "original": read_legacy,
    "images": read_images,
    "trained": read_checkpoint,
}


def read_mutants(
    folder: Path, first: int, number: int, trained: Path | None = None
) -> dict[str, Any]:
    """Read damaged files of all kinds in turn; return what came of them."""
    paths = write_all(folder)
    if trained:
        paths["trained"] = folder / "last.ckpt"
        shutil.copy(trained, paths["trained"])
    whole = {kind: path.read_bytes() for kind, path in paths.items()}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    warnings.simplefilter("error")
    slowest, read, wrong = 0.0, Counter[str](), list[str]()
    for index in range(first, first + number):
        rng = random.Random(index)
        kind = list(paths)[index % len(paths)]
        data, other = whole[kind], whole[rng.choice(list(paths))]
        inside = kind in ("checkpoint", "original", "trained") and rng.random() < 0.6
        if inside:
            description = pickle_of(data)
            changed = with_pickle(data, mutate(rng, description, description))
        else:
            changed = mutate(rng, data, other)
        paths[kind].write_bytes(changed)
        start = time.monotonic()
        try:
            READERS[kind](paths[kind])
            read[kind] += 1
        except UserError as error:
            if len(str(error)) > 3000:
                wrong.append(f"{index} {kind}: {len(str(error))} characters: {str(error)[:200]}")
        except BaseException as error:
            wrong.append(f"{index} {kind} {inside}: {type(error).__name__}: {str(error)[:300]}")
        seconds = time.monotonic() - start
        if seconds > 5:
            wrong.append(f"{index} {kind}: took {seconds:.1f} s")
        slowest = max(slowest, seconds)
        paths[kind].write_bytes(whole[kind])
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "read": dict(read),
        "wrong": wrong,
        "slowest": slowest,
        "memory": (after - before) * 1024,
    }


def check_mutants(folder: Path, *args: Any, seconds: float) -> dict[str, Any]:
    found = confined(read_mutants, folder, *args, seconds=seconds)
    assert found["harm"] == []
    assert found["wrong"] == []
    assert found["memory"] < GIB
    # Neither all nor none got through, or nothing was tried.
    assert 0 < sum(found["read"].values()) < 0.9 * args[1]
    return found


def test_mutants(tmp_path: Path) -> None:
    check_mutants(tmp_path, 0, 180, seconds=100)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_many_mutants(part: int, tmp_path: Path, finished_run: Path) -> None:  # noqa: F811
    trained = finished_run / "checkpoints" / "last.ckpt"
    found = check_mutants(tmp_path, 1000 * (part + 1), 1000, trained, seconds=600)
    print({key: found[key] for key in ("read", "slowest", "memory")})


def message(reader: Callable[[Path], Any], path: Path) -> str:
    """Return the sentence that refuses a file, which takes no time and memory."""
    start = time.monotonic()
    with pytest.raises(UserError) as refused:
        reader(path)
    assert time.monotonic() - start < 5
    return str(refused.value)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("reader", [read_checkpoint, read_original])
def test_bombs_are_not_unpacked(reader: Callable[[Path], Any], method: int, tmp_path: Path) -> None:
    path = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("archive/data.pkl", pickle_of(saved({"fpainter": RECORD, "GAN": {}})))
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/data/0", bytes(1 << 22))
    assert "its parts are compressed" in message(reader, path)


@pytest.mark.parametrize("reader", [read_checkpoint, read_original])
def test_parts_that_share_their_bytes(reader: Callable[[Path], Any], tmp_path: Path) -> None:
    data = bytearray(saved({"fpainter": RECORD, "GAN": {}, "a": torch.zeros(1 << 16)}))
    end = data.rfind(b"PK\x05\x06")
    (size, start) = struct.unpack_from("<II", data, end + 12)
    # torch writes the counts a second time, for archives beyond 4 GB; the old record is enough.
    directory = bytes(data[start : start + size]) * 40
    count = struct.unpack_from("<H", data, end + 10)[0] * 40
    tail = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(directory), start, 0)
    (tmp_path / "bomb.ckpt").write_bytes(bytes(data[:start]) + directory + tail)
    assert "overlap" in message(reader, tmp_path / "bomb.ckpt").lower()


RECORDS: list[Any] = [
    {"fpainter": 3},
    {"fpainter": {}},
    {"fpainter": {**RECORD, "format": "new"}},
    {"fpainter": RECORD},
    {"fpainter": {**RECORD, "config": {"model": 7}}, "state_dict": {}, "iteration": 1},
    {"fpainter": {**RECORD, "config": {"model": {"generator": {}}}}, "state_dict": {}},
    {"fpainter": {**RECORD, "config": [1]}, "state_dict": {}, "iteration": 1},
    {"fpainter": {**RECORD, "config": {"model": "${nowhere}"}}, "state_dict": {}, "iteration": 1},
]


@pytest.mark.parametrize("content", RECORDS, ids=range(len(RECORDS)))
def test_checkpoints_that_are_nearly_ours(content: Any, tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").write_bytes(saved(content))
    assert str(tmp_path / "a.ckpt") in message(load_painter, tmp_path / "a.ckpt")


@pytest.mark.parametrize("length", [1 << 20, 1 << 40, (1 << 63) - 1, (1 << 64) - 1])
def test_lengths_in_safetensors(length: int, tmp_path: Path) -> None:
    paths = write_all(tmp_path)
    for kind in ("tensors", "statistics"):
        data = paths[kind].read_bytes()
        paths[kind].write_bytes(struct.pack("<Q", length) + data[8:])
    assert "not a readable safetensors file" in message(load_painter, paths["config"].parent)
    read_statistics(paths["statistics"])


def test_statistics_with_flipped_bits_are_computed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_all(tmp_path)["statistics"]
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    read_statistics(path)
    assert "computing the statistics again" in caplog.text
    caplog.clear()
    read_statistics(path)
    assert caplog.text == ""


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"fpainter": 1}', '{"fpainter": 1, "format": "x", "config": {}}']
)
def test_configs_that_are_nearly_ours(text: str, tmp_path: Path) -> None:
    path = write_all(tmp_path)["config"]
    path.write_text(text)
    assert str(path) in message(load_painter, path.parent)


@pytest.mark.parametrize("reader", [read_checkpoint, read_original])
def test_long_texts(reader: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(saved({"fpainter": RECORD, "GAN": {"i" * 70_000: torch.zeros(1)}}))
    assert "a text of 70000 characters" in message(reader, path)
    data = saved({"fpainter": RECORD, "GAN": {"a": torch.zeros(1)}})
    named = pickle_of(data).replace(b"FloatStorage", b"i" * 70_000 + b"Storage")
    path.write_bytes(with_pickle(data, named))
    assert "a text of 70013 characters" in message(reader, path)


@pytest.mark.parametrize("image_range", ["signe", 7, "${nowhere}", None])
def test_image_ranges_that_are_none(image_range: Any, tmp_path: Path) -> None:
    path = write_all(tmp_path)["config"]
    description = json.loads(path.read_text())
    description["config"]["model"]["image_range"] = image_range
    path.write_text(json.dumps(description))
    assert str(path) in message(load_painter, path.parent)


def expanded(shape: tuple[int, ...]) -> Tensor:
    """Return a tensor of one number that says to be of any shape."""
    return torch.zeros(1).expand(shape)


@pytest.mark.parametrize("reader", [load_painter, read_original])
def test_tensors_of_one_number(reader: Callable[[Path], Any], tmp_path: Path) -> None:
    huge = expanded((1 << 20, 1 << 20))
    paths = write_all(tmp_path)
    checkpoint = torch.load(paths["checkpoint"], weights_only=True)
    checkpoint["state_dict"] = dict.fromkeys(checkpoint["state_dict"], huge)
    checkpoint["GAN"] = dict.fromkeys(("G.a", "GE.a", "x"), huge)
    torch.save(checkpoint, paths["checkpoint"])
    assert str(paths["checkpoint"]) in message(reader, paths["checkpoint"])


def test_descriptions_with_right_checksums_are_read(tmp_path: Path) -> None:
    """The mutants with right checksums are refused for their damage and nothing else."""
    path = write_all(tmp_path)["checkpoint"]
    data = path.read_bytes()
    path.write_bytes(with_pickle(data, pickle_of(data)))
    assert load_painter(path).iteration == 7
