"""What is trained, on what, put together from the config of a stage."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from lightning import seed_everything
from omegaconf import DictConfig

from fpainter.callbacks.warm_start import WarmStart
from fpainter.checkpoints.inference import (
    add_generator,
    exported_state,
    read_checkpoint,
    weights_name,
)
from fpainter.data.datamodule import ImageDataModule, share_of_batch
from fpainter.errors import UserError
from fpainter.launch.continuation import find_checkpoint
from fpainter.launch.settings import blaming
from fpainter.launch.stages import Stage
from fpainter.nn.sizes import is_whole
from fpainter.training.gan_module import GANModule
from fpainter.training.phases import check_micro_batches
from fpainter.training.precision import check_precision, pick_precision, set_matmul_precision

log = logging.getLogger(__name__)

# What a warm start can keep of another run's checkpoint, but not of an exported painter.
OPTIONS_OF_FILES = ("discriminator", "generator_optimiser", "discriminator_optimiser")

# Lightning's: what torch does about it, and that the generator's average is in evaluation mode.
KNOWN_WARNINGS = (".*LeafSpec.*", ".*in eval mode at the start of training.*")


def assembled(cfg: DictConfig) -> tuple[GANModule, ImageDataModule, str]:
    """Return the module as it is drawn from the seed, its data, and the trainer's precision.

    Args:
        cfg: of a stage.

    Raises:
        UserError: if a setting cannot be used.
    """
    for message in KNOWN_WARNINGS:
        warnings.filterwarnings("ignore", message)
    precision = pick_precision(cfg.trainer.precision, cfg.trainer.accelerator)
    check_precision(precision)
    set_matmul_precision(cfg.matmul_precision)
    with blaming("seed"):
        seed_everything(cfg.seed, verbose=False)
    data: ImageDataModule = instantiate(cfg.data)
    module = checked_model(cfg)
    for generator in (module.generator, module.generator_ema):
        generator.class_names = data.class_names
    return module, data, precision


def check_later(stages: Sequence[Stage]) -> None:
    """Build what all stages but the first need, without weights: a mistake in one shows now.

    Raises:
        InstantiationException: if something cannot be built.
        UserError: as in `checked_model`.
    """
    for stage in stages[1:]:
        with torch.device("meta"):
            checked_model(stage.config)
        for section in ("data", "callbacks", "checkpoints"):
            instantiate(stage.config[section])


def checked_model(cfg: DictConfig) -> GANModule:
    """Build a stage's model; refuse what its first iteration could not do, before images are read.

    That is a batch that devices and micro-batches cannot share (where the number of devices is not
    told, only the first iteration knows), and optimisers that cannot be built.

    Raises:
        UserError: if there is any.
    """
    module: GANModule = instantiate(cfg.model)
    module.configure_optimizers()
    devices = cfg.trainer.devices
    if is_whole(devices):
        share = share_of_batch(cfg.batch_size, devices * cfg.trainer.get("num_nodes", 1))
        check_micro_batches(module.phases, share, module.accumulate)
    return module


def warm_start(
    module: GANModule, run_dir: Path, ckpt: str | None, **options: Any
) -> list[WarmStart]:
    """Return the callback that loads another run's weights, if they are asked for.

    Args:
        module: what is to be trained.
        run_dir: the run directory.
        ckpt: where they are; None for none.
        **options: the other settings of ``warm_start``.

    Raises:
        UserError: if they are not there, or a part that is frozen has no weights.
    """
    if ckpt is None:
        if not all(p.requires_grad for p in module.generator.parameters()):
            raise UserError(
                "a part of the generator is frozen and has not learnt anything yet; "
                "give the checkpoint of a trained painter with warm_start.ckpt=PATH"
            )
        return []
    path = find_checkpoint(ckpt, key="warm_start.ckpt")
    weights = weights_name(options["weights"], "warm_start.weights")
    if path.is_dir():
        checkpoint = exported_state(path, weights)
        log.info("%s holds a generator alone: discriminator and optimisers start anew", path)
        options |= dict.fromkeys(OPTIONS_OF_FILES, "reset")
    else:
        checkpoint = read_checkpoint(path, key="warm_start.ckpt")
        add_generator(checkpoint, weights, path, f"warm_start.ckpt={path}")
    with blaming("warm_start"):
        return [WarmStart(run_dir, checkpoint, ckpt, **options)]
