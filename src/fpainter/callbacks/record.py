"""What a run was: its config, overrides, versions and revision, on disk and in checkpoints."""

import json
from pathlib import Path
from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import OmegaConf

from fpainter.checkpoints.record import environment, record
from fpainter.training.gan_module import GANModule


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
        checkpoint["fpainter"] = record(self.config, self.overrides)
