"""What is meant for a person and not for a programmer."""

from pathlib import Path


class UserError(Exception):
    """Something the user gave cannot be used.

    The message says what was wrong, where (file, key, value) and what to do; the entry points
    print it as it is, without a traceback.
    """


def existing(path: str | Path, key: str) -> Path:
    """Return a path that a key of the command line names, ``~`` resolved.

    Raises:
        UserError: if there is nothing.
    """
    found = Path(str(path)).expanduser()
    if not found.exists():
        raise UserError(f"{key}={path}: there is no such file")
    return found


def first_line(error: BaseException) -> str:
    """Return what an error says, without the details in the lines below; else its type's name."""
    text = str(error)
    return text.splitlines()[0] if text.strip() else type(error).__name__
