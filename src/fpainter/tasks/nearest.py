"""Samples of a checkpoint beside the training images that are nearest to them."""

import logging
from pathlib import Path

import torch
from omegaconf import DictConfig

from fpainter.checkpoints.inference import TrainedPainter
from fpainter.data.cache import CachedImages
from fpainter.data.streaming.datamodule import StreamDataModule
from fpainter.errors import UserError
from fpainter.evaluation.copies import find_copies
from fpainter.evaluation.features import Features
from fpainter.launch.devices import pick_device
from fpainter.launch.settings import blaming
from fpainter.pictures.nearest import draw_distances, draw_nearest, write_distances, write_nearest
from fpainter.pictures.selection import Selection
from fpainter.progress import reporting
from fpainter.tasks.reals import reals_of
from fpainter.tasks.styles import Writer

log = logging.getLogger(__name__)


def prepare_nearest(trained: TrainedPainter, selection: Selection, cfg: DictConfig) -> Writer:
    """Return what writes samples beside their nearest training images.

    Args:
        trained: the painter.
        selection: the samples.
        cfg: composed from ``configs/generate.yaml``.

    Raises:
        UserError: if there are no training images to compare with.
    """
    reals, fid = training_images(trained, cfg)
    return lambda output: show_nearest(selection, cfg, output, reals, fid)


def training_images(trained: TrainedPainter, cfg: DictConfig) -> tuple[CachedImages, DictConfig]:
    """Return all of a painter's training images, and its run's ``fid``.

    Args:
        trained: the painter.
        cfg: composed from ``configs/generate.yaml``.

    Raises:
        UserError: if they are not there, or were streamed.
    """
    if cfg.crop is not None:
        raise UserError("what=nearest: compares whole pictures; leave out crop")
    try:
        data, fid = reals_of(trained, cfg)
    except UserError as error:
        raise UserError(f"what=nearest: needs the training images: {error}") from error
    if isinstance(data, StreamDataModule):
        raise UserError(
            "what=nearest: needs all training images, but only the first of streamed ones are "
            "kept; give them as a folder or a zip file: data=folder data.dir=PATH"
        )
    return data.images, fid


def show_nearest(
    selection: Selection, cfg: DictConfig, output: Path, reals: CachedImages, fid: DictConfig
) -> list[str]:
    """Write samples beside their nearest training images, and how near those are.

    Args:
        selection: the samples.
        cfg: composed from ``configs/generate.yaml``.
        output: folder for what is written.
        reals: from `training_images`, like `fid`.
        fid: protocol, weights and cache.

    Returns:
        The names of the files.

    Raises:
        UserError: if there are no weights or too few training images.
    """
    chosen, numbers = cfg.nearest, selection.indices
    samples = torch.cat([part.images()["images"] for part in selection.slices()])
    network = fid.protocol, fid.weights_path, fid.cache_dir, pick_device(cfg.device)
    with reporting() as report, blaming("nearest or fid"):
        copies = find_copies(
            Features.load(*network, cfg.batch_size, report),
            reals,
            lambda indices: samples[list(indices)],
            len(samples),
            chosen.neighbours,
            chosen.num_held_back,
        )
    picture = draw_nearest(samples, numbers, copies, reals, chosen.num_images, chosen.scale)
    picture.save(output / "nearest.png")
    write_nearest(numbers, copies, reals.titles, output / "nearest.csv")
    draw_distances(copies, output / "distances.png")
    write_distances(copies, output / "distances.csv")
    log.info(copies.verdict())
    return ["nearest.png", "nearest.csv", "distances.png", "distances.csv"]
