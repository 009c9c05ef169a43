"""What users name: files and folders, and painters on the Hugging Face hub."""

import re
from pathlib import Path

from fpainter.errors import UserError

OWN_PAINTER = Path(__file__).with_name("painters") / "portraits"


def own_painter() -> Path:
    """Return the folder of the painter that comes with the package: 32×32 drawn portraits.

    Raises:
        UserError: if the installation lacks it.
    """
    if not OWN_PAINTER.is_dir():
        raise UserError(
            f"this installation lacks its own painter ({OWN_PAINTER}): install fpainter again, or "
            "name a painter of yours with ckpt=PATH"
        )
    return OWN_PAINTER


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
