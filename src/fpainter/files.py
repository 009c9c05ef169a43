"""Files and folders that appear whole or not at all."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a new path beside `path`, which takes its place when the block has ended well.

    What was written is on the disk before its name is, so that neither a killed process nor a
    power cut leaves half of it. After an error `path` is as it was, and nothing is left beside it.

    Args:
        path: a file, there or not; or a folder that is not there.

    Yields:
        A path that does not exist yet, in the same folder, hidden, ending in ``.tmp``.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        yield temporary
        _flush_to_disk(temporary)
        os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def _flush_to_disk(path: Path) -> None:
    if path.is_dir():
        for entry in path.iterdir():
            _flush_to_disk(entry)
        return
    with path.open("rb") as file:
        os.fsync(file.fileno())
