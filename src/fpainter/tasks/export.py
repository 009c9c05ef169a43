"""A painter written as safetensors, with all that is needed to paint."""

import logging
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fpainter.checkpoints.inference import best_fid, load_painter, read_checkpoint
from fpainter.generators.pretrained import push_to_hub, save_pretrained

log = logging.getLogger(__name__)


def export(cfg: DictConfig) -> None:
    """Write one generator of a checkpoint as safetensors, with all that is needed to paint.

    Args:
        cfg: composed from ``configs/export.yaml``.

    Raises:
        UserError: if the checkpoint cannot be used, or the folder cannot be written.
    """
    output = Path(cfg.output or Path(HydraConfig.get().runtime.output_dir) / "painter").expanduser()
    fid = best_fid(read_checkpoint(cfg.ckpt))
    save_pretrained(output, load_painter(cfg.ckpt, cfg.weights), fid, cfg.overwrite)
    log.info("written to %s; its README.md says how to paint with it", output)
    if cfg.push is not None:
        push_to_hub(output, cfg.push)
        log.info("uploaded to https://huggingface.co/%s", cfg.push)
