"""Paint images from a checkpoint: ``python -m fpainter.generate ckpt=PATH num_images=64``."""

import logging
import sys
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from fpainter.checkpoints.inference import load_painter
from fpainter.errors import UserError
from fpainter.evaluation.latents import latents
from fpainter.generators.base import PaintingGenerator
from fpainter.generators.sampler import Sampler
from fpainter.launch import blaming, launch, pick_device
from fpainter.visualisation.grids import beside, grid, to_picture
from fpainter.visualisation.strips import check_normalisation, painting_strips

log = logging.getLogger(__name__)

GRID_AT_MOST = 1024  # images; a larger grid would be no picture any more


def generate(cfg: DictConfig) -> None:
    """Write single images, a grid and painting strips into the run directory.

    Where images are refined, those before the refiner are written, too, and shown at the left.

    Image i depends on the seed and on i alone, so asking for more images gives the same first ones.

    Args:
        cfg: composed from ``configs/generate.yaml``.

    Raises:
        UserError: if a number is out of range.
    """
    for key in ("num_images", "batch_size", "grid.scale", "strips.num_columns", "strips.scale"):
        if OmegaConf.select(cfg, key) < 1:
            raise UserError(f"{key}={OmegaConf.select(cfg, key)}: must be at least 1")
    with blaming("strips"):
        check_normalisation(cfg.strips.normalisation)
    painter = load_painter(cfg.ckpt, cfg.weights, pick_device(cfg.device))
    sampler = painter.sampler
    output = Path(HydraConfig.get().runtime.output_dir)
    folders = {"images": sampler}
    before = sampler.before_refiner()
    if before is not None:
        folders = {"unrefined": before, **folders}
    beside(
        [
            grid(_save(each, cfg, output / name), cfg.grid.columns, scale=cfg.grid.scale)
            for name, each in folders.items()
        ]
    ).save(output / "grid.png")
    written = [f"{cfg.num_images} {name}" for name in folders] + ["grid.png"]
    if isinstance(sampler.generator, PaintingGenerator) and cfg.strips.num_images:
        z = latents(cfg.seed, range(min(cfg.strips.num_images, cfg.num_images)), sampler.d_latent)
        painting_strips(
            sampler.generator,
            sampler.image_range,
            z,
            cfg.strips.num_columns,
            cfg.strips.normalisation,
            cfg.strips.scale,
        ).save(output / "strips.png")
        written.append("strips.png")
    log.info("%s written to %s", ", ".join(written), output)


def _save(sampler: Sampler, cfg: DictConfig, folder: Path) -> Tensor:
    """Write each image into a folder; return those that the grid shows."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = []
    for start in range(0, cfg.num_images, cfg.batch_size):
        indices = range(start, min(start + cfg.batch_size, cfg.num_images))
        images = sampler(latents(cfg.seed, indices, sampler.d_latent)).cpu()
        for index, image in zip(indices, images, strict=True):
            to_picture(image).save(folder / f"{index:06d}.png")
        shown.append(images[: max(0, GRID_AT_MOST - start)])
    return torch.cat(shown)


def main() -> None:
    """Run ``fpainter-generate``."""
    launch("generate", generate, sys.argv[1:])


if __name__ == "__main__":
    main()
