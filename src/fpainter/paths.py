"""What users name: files and folders, and painters on the Hugging Face hub."""

import re
from pathlib import Path

from fpainter.errors import UserError


def existing(path: str | Path, key: str) -> Path:
    """Return the path that a key of the command line names, ``~`` resolved.

    Raises:
        UserError: if there is nothing.
    """
    found = Path(str(path)).expanduser()
    if not found.exists():
        raise UserError(f"{key}={path}: there is no such file")
    return found


def is_hub_name(path: str | Path) -> bool:
    """Return whether something that is no path here may be ``owner/name`` on the hub."""
    return re.fullmatch(r"\w[\w.-]*/\w[\w.-]*(?<!\.ckpt)", str(path)) is not None
