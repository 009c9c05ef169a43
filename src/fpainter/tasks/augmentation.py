"""Real images as augmentation shows them to the discriminator."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from fpainter.checkpoints.inference import TrainedPainter
from fpainter.errors import UserError
from fpainter.launch.settings import entries, fill_from
from fpainter.nn.image_range import ImageRange
from fpainter.pictures.grids import grid, labelled
from fpainter.tasks.reals import build_data, reals_of
from fpainter.tasks.styles import Writer
from fpainter.trusted import build

WIDTH = 64  # pixels at least that an image is wide, so that its label fits


def prepare_augmentation(trained: TrainedPainter | None, _: object, cfg: DictConfig) -> Writer:
    """Return what writes augmented reals: see `show_augmentation`."""
    return partial(show_augmentation, cfg, trained)


def show_augmentation(cfg: DictConfig, trained: TrainedPainter | None, output: Path) -> list[str]:
    """Write the same reals augmented with several probabilities, a column for each.

    All columns have the same draws: what has happened to an image stays, more is added.

    Args:
        cfg: composed from ``configs/generate.yaml``.
        trained: its run's data and augmentation are taken where `cfg` names no others; None: `cfg`
            names both.
        output: folder for what is written.

    Returns:
        The names of the files.

    Raises:
        UserError: if there are no images or no augmentation.
    """
    chosen = cfg.augmentation
    probabilities = [_probability(value) for value in entries(chosen.probabilities)]
    model = {"image_range": "signed"} if trained is None else trained.config.model
    augment = _augment(cfg, model)
    images = _images(cfg, trained)
    generator = torch.Generator().manual_seed(cfg.seed)
    order = torch.randperm(len(images), generator=generator)
    reals = images.batch(order[: chosen.num_images].sort().values)
    columns = augmented(reals, augment, probabilities, ImageRange(model["image_range"]), cfg.seed)
    scale = chosen.scale or math.ceil(WIDTH / reals.shape[-1])
    rows = grid(torch.stack(columns, dim=1).flatten(0, 1), len(columns), scale=scale)
    picture = labelled(rows, [f"p = {probability:g}" for probability in probabilities])
    picture.save(output / "augmentation.png")
    return ["augmentation.png"]


def augmented(
    reals: Tensor,
    augment: nn.Module,
    probabilities: list[float],
    image_range: ImageRange,
    seed: int,
) -> list[Tensor]:
    """Augment images with each probability, by the same draws.

    Args:
        reals: uint8 [N C H W].
        augment: has a ``probability``; it is changed.
        probabilities: in [0, 1].
        image_range: that training maps images to.
        seed: of the draws.

    Returns:
        For each probability, uint8 [N C H W].
    """
    columns = []
    for probability in probabilities:
        augment.probability = torch.tensor(probability)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            columns.append(image_range.to_bytes(augment(image_range.from_bytes(reals))))
    return columns


def _probability(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UserError(f"augmentation.probabilities: must lie in [0, 1]; got {value}")
    return float(value)


def _augment(cfg: DictConfig, model: Any) -> nn.Module:
    """Build the augmentation of the command line, or else that of the run."""
    given = OmegaConf.select(cfg, "model.augment") or model.get("augment")
    both = OmegaConf.create({"image_range": model["image_range"], "augment": given})
    config: Any = OmegaConf.to_container(both, resolve=True)
    augment = build(config["augment"], "model.augment", ("fpainter.augmentation.", "torch.nn."))
    if not hasattr(augment, "probability"):
        raise UserError("what=augmentation: choose one with model/augment=ada, adaptive or diff")
    return augment


def _images(cfg: DictConfig, trained: TrainedPainter | None) -> Any:
    if trained is not None:
        return reals_of(trained, cfg)[0].images
    if "_target_" not in cfg.data:
        raise UserError("what=augmentation: needs images; give data=folder data.dir=PATH, or ckpt=")
    given = cfg.copy()
    given.image_size = 64 if cfg.image_size is None else cfg.image_size
    return build_data(fill_from(given.data, OmegaConf.create()), "data").images
