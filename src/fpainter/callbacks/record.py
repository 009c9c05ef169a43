"""What a run was: its config, overrides, versions and revision, on disk and in checkpoints."""

import json
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import OmegaConf

from fpainter import __version__
from fpainter.training.gan_module import GANModule

FORMAT = 1  # of what this adds to a checkpoint
PACKAGES = ("torch", "torchvision", "lightning", "hydra-core", "torchmetrics", "pillow", "numpy")


class RunRecord(Callback):
    """Write ``config.yaml``, ``overrides.yaml`` and ``environment.json``; add them to checkpoints.

    Args:
        directory: the run directory.
        config: the resolved config, plain data.
        overrides: the command line's overrides, in order.
    """

    def __init__(self, directory: str | Path, config: dict[str, Any], overrides: list[str]) -> None:
        self.directory = Path(directory)
        self.config = config
        self.overrides = overrides

    @rank_zero_only
    def on_fit_start(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Write the files."""
        self.directory.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, self.directory / "config.yaml")
        OmegaConf.save(self.overrides, self.directory / "overrides.yaml")
        text = json.dumps(environment(), indent=2)
        (self.directory / "environment.json").write_text(text + "\n")
        for logger in trainer.loggers:
            logger.log_hyperparams(self.config)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: GANModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let the checkpoint say what it is, so that it can be used without its run directory."""
        checkpoint["fpainter"] = {
            "format": FORMAT,
            "version": __version__,
            "config": self.config,
            "overrides": self.overrides,
        }


def environment() -> dict[str, Any]:
    """Return versions, platform and, in a checkout, the git revision of this package."""
    return {
        "fpainter": __version__,
        "git": git_revision(),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def git_revision() -> str | None:
    """Return the revision of the checkout this package runs from, `-dirty` when changed.

    None outside a checkout, also when an environment with this package lies in another project's.
    """
    root = Path(__file__).resolve().parents[3]
    if not (root / "src" / "fpainter").is_dir():
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
