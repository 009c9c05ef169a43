"""The change from one stage of a run to the next: its last checkpoint grows when it is read."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import Trainer

from fpainter.callbacks.checkpoints import CheckpointFile, RunCheckpoints, keep
from fpainter.callbacks.record import RunRecord
from fpainter.checkpoints.grown import grown_checkpoint
from fpainter.checkpoints.record import record
from fpainter.files import replacing
from fpainter.generators.growing import Growth
from fpainter.nn.sizes import as_size, size_text
from fpainter.training.gan_module import GANModule

log = logging.getLogger(__name__)


class GrowingCheckpointFile(CheckpointFile):
    """Read the last checkpoint of a stage as one of the next, and keep it as the run's last.

    What has those sizes already is not changed. Processes that read it at the same time make the
    same of it.

    Args:
        trainer: of the next stage.
        module: of the next stage, as it is drawn.
        batch_size: of the next stage, over all processes.
        run: says what the run is.
        checkpoints: say where its last checkpoint is.
        stage: the next stage, for people.
    """

    def __init__(
        self,
        trainer: Trainer,
        module: GANModule,
        batch_size: int,
        run: RunRecord,
        checkpoints: RunCheckpoints,
        stage: str,
    ) -> None:
        super().__init__()
        self.trainer = trainer
        self.module = module
        self.batch_size = batch_size
        self.run = run
        self.checkpoints = checkpoints
        self.stage = stage

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Read a checkpoint, which grows.

        Raises:
            UserError: if it cannot be grown to the sizes of this stage.
            OSError: if the disk refuses what it has become.
        """
        stored: dict[str, Any] = super().load_checkpoint(path, *args, **kwargs)
        before = stored["fpainter"]["config"]["image_size"]
        grown, growths = grown_checkpoint(stored, self.module, self.batch_size, f"ckpt={path}")
        grown["fpainter"] = record(self.run.config, self.run.overrides)
        if self.trainer.is_global_zero:
            last = self.checkpoints.last
            last.parent.mkdir(parents=True, exist_ok=True)
            with replacing(last) as temporary:
                self.save_checkpoint(grown, temporary)
                if last.exists():
                    keep(last, self.checkpoints.previous)
            change = _summary(growths, self.module)
            log.info("%s; from %s: %s", self.stage, size_text(as_size(before)), change)
        return grown


def _summary(growths: Mapping[str, Growth], module: GANModule) -> str:
    """Count what becomes of the tensors of each player."""
    return "; ".join(
        f"{player} {len(growth.sources)} taken, {len(growth.grown)} grown, "
        f"{len(module.get_submodule(player).state_dict()) - len(growth.state)} new"
        for player, growth in growths.items()
        if player != "generator_ema"
    )
