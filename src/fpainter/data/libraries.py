"""Libraries that only some data need."""

import importlib
from typing import Any

from fpainter.errors import UserError


def library(module: str, package: str, wanted_by: str) -> Any:
    """Import a library that need not be installed.

    Args:
        module: what to import.
        package: what to install for it, such as ``fpainter[hdf5]``.
        wanted_by: what needs it, for the message.

    Raises:
        UserError: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = f"'{package}'" if "[" in package else package  # brackets mean something to shells
        advice = f"pip install {name}"
        raise UserError(f"{wanted_by} needs {module.split('.')[0]}: {advice}") from error
