"""A painter written as safetensors, with all that is needed to paint."""

import logging
import math
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fpainter.callbacks.checkpoints import RunCheckpoints
from fpainter.checkpoints.inference import load_painter, read_checkpoint
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
    best_fid = _best_fid(read_checkpoint(cfg.ckpt))
    save_pretrained(output, load_painter(cfg.ckpt, cfg.weights), best_fid, cfg.overwrite)
    log.info("written to %s; its README.md says how to paint with it", output)
    if cfg.push is not None:
        push_to_hub(output, cfg.push)
        log.info("uploaded to https://huggingface.co/%s", cfg.push)


def _best_fid(checkpoint: dict[str, Any]) -> dict[str, Any] | None:
    """Return the lowest FID of a checkpoint's run so far, if there is one."""
    stored = checkpoint.get("callbacks", {}).get(RunCheckpoints.__qualname__, {})
    value = stored.get("best_score", math.inf)
    return {"value": value, "protocol": stored["protocol"]} if math.isfinite(value) else None
