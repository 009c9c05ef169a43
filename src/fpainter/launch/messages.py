"""Sentences for what goes wrong, instead of tracebacks."""

import errno
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from omegaconf.errors import (
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from fpainter.errors import UserError, first_line

_PACKAGE = Path(__file__).resolve().parents[1]
# What a full or broken disk answers, also where no file is named.
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


def fail(message: str, code: int = 1) -> NoReturn:
    """End the program with a sentence."""
    print(f"fpainter: {message}", file=sys.stderr)
    raise SystemExit(code)


@contextmanager
def sentences() -> Iterator[None]:
    """End the program with a sentence where the user can mend what is wrong."""
    try:
        with explained():
            yield
    except KeyboardInterrupt:
        fail("stopped by Ctrl-C", 128 + signal.SIGINT)
    except UserError as error:
        fail(str(error))


@contextmanager
def explained() -> Iterator[None]:
    """Turn errors into `UserError` where the user can mend what is wrong."""
    try:
        yield
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        raise UserError(message) from error


def explain(error: BaseException | None) -> str | None:
    """Say what the user can mend in a sentence; None for any other error."""
    if isinstance(error, MissingMandatoryValue):
        return f"give {_own_key(error.full_key)}=..."
    computing = re.match(r"ValueError raised while resolving interpolation: (.+)", str(error))
    if isinstance(error, InterpolationResolutionError) and computing:
        return computing[1]  # of our resolvers
    if isinstance(error, UserError | OmegaConfBaseException):
        return str(error)
    if isinstance(error, InstantiationException):
        cause = error.__cause__
        # What constructors raise when they are given something they cannot use.
        given = isinstance(cause, ValueError | TypeError | ModuleNotFoundError)
        message = str(cause) if given else explain(cause)
        if loading := re.match(r"Error loading '(.+)':\n(.+)", str(cause)):
            message = (
                f"cannot find {loading[1]}: {loading[2]}; is its name right? Run from the folder "
                "that its module is in, or add that folder to PYTHONPATH"
            )
        found = re.search(r"full_key: (\S+)", str(error))
        key = _own_key(found[1]) if found else ""
        if unknown := re.match(r"(\w+)\.__init__\(\) got an unexpected .* '(\w+)'", str(cause)):
            # Of what stood there before, by an experiment, or of what a user thinks of.
            return f"{unknown[1]} has no setting {unknown[2]}; ~{key}.{unknown[2]} takes it away"
        return f"{message} (in {key})" if message and key else message
    if isinstance(error, OSError):
        return _of_the_system(error)
    return None if error is None else _of_torch_and_lightning(error)


def _own_key(key: str | None) -> str:
    """Return where a setting is given; the head has the learning rule by reference."""
    return str(key).replace(".head.learning_rule", ".learning_rule")


def _of_the_system(error: OSError) -> str | None:
    """Say what files and disks refuse; a file of the package that is not there is our mistake."""
    where = error.filename
    if where is None and error.errno in DISK and HydraConfig.initialized():
        where = HydraConfig.get().runtime.output_dir
    if where is None or Path(os.fsdecode(where)).is_relative_to(_PACKAGE):
        return None
    return f"{os.fsdecode(where)}: {error.strerror}"


def _of_torch_and_lightning(error: BaseException) -> str | None:
    # Imported only here: most sentences are due before anything slow has been needed.
    import torch
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    if isinstance(error, MisconfigurationException):
        return str(error)
    text = first_line(error)
    # On the CPU torch raises a plain RuntimeError.
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "t allocate memory" in text:
        return (
            f"out of memory ({text}); a smaller batch_size takes less, "
            "and for training a larger model.accumulate or a smaller image_size"
        )
    # On the CPU gloo raises a plain RuntimeError, too.
    if isinstance(error, torch.distributed.DistError) or "gloo/transport" in text:
        return f"another process of this run was killed or has failed ({text})"
    return None
