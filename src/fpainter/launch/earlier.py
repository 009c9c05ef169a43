"""What an earlier start left in a run directory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpainter.errors import UserError

# What makes two runs the same run; all else may change when one goes on.
SAME = ("model", "data", "image_size", "batch_size", "seed", "warm_start")
ELSEWHERE = ("cache_dir",)  # keys that say where something lies on this machine


@dataclass(frozen=True)
class EarlierStart:
    """What a run directory holds of a run.

    Attributes:
        checkpoint: its last one.
        iteration: how many are done.
        best_fid: None without scores.
        config: the resolved config, plain data.
    """

    checkpoint: Path
    iteration: int
    best_fid: float | None
    config: dict[str, Any]


def earlier_start(run_dir: Path) -> EarlierStart | None:
    """Return what an earlier start left in a run directory; None when it saved nothing.

    Raises:
        UserError: if a checkpoint there cannot be read.
    """
    last, best = (run_dir / "checkpoints" / f"{name}.ckpt" for name in ("last", "best"))
    if not last.is_file() and not last.with_name("previous.ckpt").is_file():
        return None
    # Brings torch, which a sweep does not need before its first job.
    from fpainter.checkpoints.inference import read_checkpoint, whole_checkpoint

    last = whole_checkpoint(last)
    checkpoint = read_checkpoint(last, key="auto_resume")
    best_fid = None
    if best.is_file():
        state = read_checkpoint(best, key="auto_resume")["callbacks"]["RunCheckpoints"]
        best_fid = state["best_score"]
    config = checkpoint["fpainter"]["config"]
    return EarlierStart(last, checkpoint["iteration"], best_fid, config)


def same_run(run_dir: Path, config: dict[str, Any]) -> EarlierStart | None:
    """Return the earlier start of this very run.

    Args:
        run_dir: where it would be.
        config: resolved, plain data.

    Raises:
        UserError: if the directory holds a run with other settings.
    """
    found = earlier_start(run_dir)
    if found is None:
        return None
    for key in SAME:
        differs = _difference(found.config.get(key), config.get(key), key)
        if differs:
            raise UserError(
                f"{run_dir} holds a run with other settings: {differs}; choose another directory"
            )
    return found


def _difference(there: Any, here: Any, key: str) -> str | None:
    """Name the first key in which two configs differ."""
    if key.endswith(ELSEWHERE):
        return None
    if isinstance(there, dict) and isinstance(here, dict):
        parts = (_difference(there.get(k), here.get(k), f"{key}.{k}") for k in {**there, **here})
        return next(filter(None, parts), None)
    return None if there == here else f"{key} is {there} there and {here} here"
