"""What a command line with ``ckpt=`` or ``warm_start.ckpt=`` goes on from, and its settings."""

import os
from pathlib import Path

from fpainter.errors import UserError
from fpainter.launch.settings import quoted
from fpainter.paths import existing


def complete_arguments(arguments: list[str]) -> list[str]:
    """Complete ``ckpt=last|best|PATH`` so that a run goes on as what it was, where it was.

    The overrides stored in the checkpoint come first, those given now win; the run directory is
    that of the checkpoint unless another is given. A warm start, too, takes the stored overrides
    when neither a model nor an experiment is named; its run directory is new.

    Args:
        arguments: the command line's overrides and flags.

    Returns:
        The same, completed; unchanged without a checkpoint.

    Raises:
        UserError: if there is nothing to go on from.
    """
    given = dict(a.split("=", 1) for a in arguments if "=" in a and not a.startswith("-"))
    if _is_given(given, "ckpt"):
        path = find_checkpoint(given["ckpt"], given.get("hydra.run.dir"))
        if path.is_dir():
            raise UserError(
                f"ckpt={path}: a folder has no optimisers and no discriminator to go on with; "
                f"warm_start.ckpt={path} begins a new run with its weights"
                if not (path / "checkpoints").is_dir()
                else f"ckpt={path}: is a run directory; give ckpt=last hydra.run.dir={path}"
            )
        rest = [a for a in arguments if not a.startswith("ckpt=")]
        if "hydra.run.dir" not in given and path.parent.name == "checkpoints":
            rest.append(f"hydra.run.dir={quoted(path.parent.parent)}")
        return [*_stored_overrides(path, "ckpt", given), *rest, f"ckpt={quoted(path)}"]
    if _is_given(given, "warm_start.ckpt") and not given.keys() & {"model", "experiment"}:
        path = find_checkpoint(given["warm_start.ckpt"], key="warm_start.ckpt")
        if path.is_dir():
            # Parts of the generator that the command line names are those to take.
            chosen = [key.removeprefix("model/") for key in given if key.startswith("model/")]
            if _is_given(given, "stage"):
                chosen += ["refiner", "freeze_painter"]
            from fpainter.checkpoints.inference import exported_overrides  # brings torch

            return [*exported_overrides(path, chosen), *arguments]
        stored = _stored_overrides(path, "warm_start.ckpt", given)
        # What that run itself went on from is not what this one does.
        own = ("warm_start.", "stage=", "ckpt=", "auto_resume=")
        return [o for o in stored if not o.startswith(own)] + arguments
    return arguments


def _is_given(overrides: dict[str, str], key: str) -> bool:
    return overrides.get(key, "null") not in ("null", "")


def _stored_overrides(path: Path, key: str, given: dict[str, str]) -> list[str]:
    """Return the overrides of a checkpoint's run that are not given anew."""
    from fpainter.checkpoints.inference import read_checkpoint  # brings torch

    stored = read_checkpoint(path, key)["fpainter"]["overrides"]
    # Another data set, say, does not have the settings of the one before.
    groups = tuple(f"{name}." for name in given)
    return [
        override
        for override in stored
        if override.split("=", 1)[0] not in given and not override.startswith(groups)
    ]


def find_checkpoint(wanted: str, run_dir: str | None = None, key: str = "ckpt") -> Path:
    """Find the checkpoint a user means, or the one saved before it if it is damaged.

    Args:
        wanted: as for `locate_checkpoint`.
        run_dir: as for `locate_checkpoint`.
        key: as for `locate_checkpoint`.

    Raises:
        UserError: if there is none.
    """
    path = locate_checkpoint(wanted, run_dir, key)
    from fpainter.checkpoints.inference import whole_checkpoint  # brings torch

    return whole_checkpoint(path)


def locate_checkpoint(wanted: str, run_dir: str | None = None, key: str = "ckpt") -> Path:
    """Return where the checkpoint a user means must be, without reading it.

    Args:
        wanted: ``last`` or ``best`` (of the run directory given, else of the newest run that has
            one), or a path.
        run_dir: the run directory given on the command line, if any.
        key: what asked for it, for messages.

    Raises:
        UserError: if neither it nor one saved before it is there.
    """
    wanted = wanted.strip("'\"")
    if wanted not in ("last", "best"):
        checkpoint = Path(wanted).expanduser()
    elif run_dir is not None:
        checkpoint = Path(run_dir.strip("'\"")) / "checkpoints" / f"{wanted}.ckpt"
    else:
        runs = Path(os.environ.get("FPAINTER_LOGS", "logs")) / "train"
        # A run that was killed at the wrong moment has the one before its last only.
        names = ("last", "previous") if wanted == "last" else (wanted,)
        found = [path for name in names for path in runs.glob(f"*/checkpoints/{name}.ckpt")]
        if not found:
            raise UserError(f"{key}={wanted}: no run below {runs.resolve()} has one; give its path")
        newest = max(found, key=lambda path: path.stat().st_mtime)
        checkpoint = newest.with_name(f"{wanted}.ckpt")
    checkpoint = checkpoint.resolve()
    if not checkpoint.with_name("previous.ckpt").is_file():
        existing(checkpoint, key)
    return checkpoint
