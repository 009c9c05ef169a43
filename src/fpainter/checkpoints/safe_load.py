"""Files by ``torch.save`` from anywhere, read as plain data and tensors."""

import pickletools
import re
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import torch

from fpainter.errors import UserError, first_line
from fpainter.paths import existing

_ZIP = b"PK\x03\x04"
_NUM_PICKLES = 5  # in files of torch before 1.6: magic number, protocol, system, content, keys
# Of what `torch.load` calls by name without asking, this is enough for tensors. The rest, such as
# `bytearray`, takes a size from the file, and with it any amount of memory.
_NEEDED = re.compile(
    r"collections (OrderedDict|Counter)|_codecs encode|torch (\w+Storage|device|Size)"
    r"|torch (b?float|u?int|bool)\w*|torch\._utils _rebuild_(tensor_v2|parameter)"
    r"|(__builtin__|builtins) set"
)

# torch searches what it refuses for patterns, in a time that grows with the square of its length.
_LONGEST = 10_000


def safe_load(path: str | Path, key: str, legacy: bool = False) -> Any:
    """Read a file by ``torch.save`` without running anything that is named in it.

    Args:
        path: the file.
        key: what asked for it, for messages.
        legacy: whether it may be of the format of torch before 1.6, which has no checksums.

    Returns:
        What was saved, on the CPU; its tensors are mapped from the file unless `legacy`.

    Raises:
        UserError: if there is no such file, it is damaged or something else, or asks for more than
            tensors.
    """
    path = existing(path, key)
    try:
        with path.open("rb") as file:
            if file.read(len(_ZIP)) == _ZIP:
                _check_archive(path)
            elif legacy:
                file.seek(0)
                for _ in range(_NUM_PICKLES):
                    _check_pickle(file)
            else:
                raise ValueError("no zip file")
        return torch.load(path, map_location="cpu", weights_only=True, mmap=not legacy)
    except Exception as error:  # damage leads the readers to errors of nearly any type
        reason = first_line(error)[:300]
        raise UserError(f"{key}={path}: not a readable checkpoint ({reason})") from error


def _check_archive(path: Path) -> None:
    """Check every part's checksum, which torch does not, and what the pickles in it call."""
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        # torch stores all as it is; others would take memory beyond the file's size, or time.
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
            raise ValueError("its parts are compressed")
        if sum(part.file_size for part in parts) > path.stat().st_size:
            raise ValueError("its parts overlap")
        damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"{damaged} is damaged in it")
        for part in parts:
            if part.filename.endswith(".pkl"):
                _check_pickle(BytesIO(archive.read(part)))


def _check_pickle(file: IO[bytes]) -> None:
    unknown = next((name for name in _names(file) if not _NEEDED.fullmatch(name)), None)
    if unknown is not None:
        raise ValueError(f"it asks for {unknown}, which is not needed")


def _names(file: IO[bytes]) -> Iterator[str]:
    """Yield the modules and names of functions and classes in a pickle; move past its end."""
    for opcode, argument, _ in pickletools.genops(file):
        if isinstance(argument, str | bytes) and len(argument) > _LONGEST:
            yield f"a text of {len(argument)} characters"
        elif opcode.name in ("GLOBAL", "INST"):
            yield str(argument)
        elif opcode.name == "STACK_GLOBAL":  # of newer pickles, which `torch.load` does not read
            yield "a pickle of protocol 4"
