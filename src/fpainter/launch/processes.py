"""One run as several processes, also as a job of a sweep."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import read_write

from fpainter.checkpoints.record import in_hydras_grammar
from fpainter.errors import UserError

RANKS = ("RANK", "SLURM_PROCID", "LOCAL_RANK")  # where torchrun, SLURM, Lightning tell the rank
# What Lightning leaves in the environment of the process that started the others.
LEFT = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
QUIET = ("hydra/job_logging=disabled", "hydra.output_subdir=null")


def arguments_of_process(arguments: list[str]) -> list[str]:
    """Let only the first process of a run write logs and configs.

    Args:
        arguments: the command line's overrides and flags.

    Raises:
        UserError: if torchrun started this process and it cannot know the others' directory.
    """
    torchrun = "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"
    if torchrun and not any(argument.startswith("hydra.run.dir=") for argument in arguments):
        raise UserError("processes started by torchrun share a directory; give hydra.run.dir=DIR")
    rank = next((os.environ[name] for name in RANKS if name in os.environ), "0")
    return arguments if rank == "0" else [*arguments, *QUIET]


def launched() -> bool:
    """Say whether another process of this run has started this one, for one call of the trainer."""
    return "LOCAL_RANK" in os.environ and "TORCHELASTIC_RUN_ID" not in os.environ


@contextmanager
def launching(ckpt: str | Path | None) -> Iterator[None]:
    """Let the trainer start further processes of this run, and leave no trace of them.

    Lightning starts them with the command line and the run directory of this process, which in a
    sweep are those of the whole sweep; and what it leaves behind would make the next job believe
    that it is one of them.

    Args:
        ckpt: what the run goes on from, if anything; its overrides may not name it.
    """
    if "LOCAL_RANK" in os.environ:  # this is one of them, or torchrun has started them all
        yield
        return
    main = sys.modules["__main__"]
    before = sys.argv, main.__spec__
    # In a process of joblib's or submitit's, and in a test, the main module is not ours.
    main.__spec__ = importlib.util.find_spec("fpainter.train")
    hydra: Any = HydraConfig.get()
    sources = hydra.runtime.config_sources
    flags = [f"--config-dir={each.path}" for each in sources if each.provider == "command-line"]
    given = [*hydra.overrides.hydra, *hydra.overrides.task, "hydra.mode=RUN"]
    going_on = [f"ckpt={in_hydras_grammar(str(ckpt))}"] if ckpt else []
    sys.argv = [sys.argv[0], *flags, *given, *going_on]
    with read_write(hydra):
        hydra.run.dir = hydra.runtime.output_dir
    try:
        yield
    finally:
        sys.argv, main.__spec__ = before
        if os.environ.pop("LOCAL_RANK", None) is not None:
            from torch import distributed  # not at the top: this file is needed before torch is

            if distributed.is_initialized():
                distributed.destroy_process_group()
            for name in LEFT:
                os.environ.pop(name, None)
