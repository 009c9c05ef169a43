"""A painter written as safetensors, with all that is needed to paint."""

import logging
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fpainter.checkpoints.inference import best_fid, load_painter, read_checkpoint
from fpainter.errors import UserError
from fpainter.generators.pretrained import push_to_hub, read_config, save_pretrained

log = logging.getLogger(__name__)


def export(cfg: DictConfig) -> None:
    """Write one generator of a checkpoint, or of an export, with all that is needed to paint.

    Args:
        cfg: composed from ``configs/export.yaml``.

    Raises:
        UserError: if the checkpoint cannot be used, or the folder cannot be written.
    """
    output = Path(cfg.output or Path(HydraConfig.get().runtime.output_dir) / "painter").expanduser()
    if cfg.ckpt is None:
        raise UserError("give ckpt=PATH, the checkpoint to export")
    folder = Path(cfg.ckpt).expanduser()  # of a painter that was exported before, perhaps
    fid = (
        read_config(folder).get("best_fid")
        if folder.is_dir()
        else best_fid(read_checkpoint(folder))
    )
    save_pretrained(output, load_painter(cfg.ckpt, cfg.weights), fid, cfg.overwrite)
    log.info("written to %s; its README.md says how to paint with it", output)
    if cfg.push is not None:
        push_to_hub(output, cfg.push)
        log.info("uploaded to https://huggingface.co/%s", cfg.push)
