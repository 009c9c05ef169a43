"""Images of a checkpoint, and pictures of how they come about."""

import glob
import logging
import os
import pkgutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from fpainter.checkpoints.inference import TrainedPainter, load_painter
from fpainter.errors import UserError
from fpainter.generators.base import PaintingGenerator
from fpainter.generators.sampler import Sampler
from fpainter.launch.devices import pick_device
from fpainter.launch.settings import blaming, check_numbers, entries
from fpainter.nn.sizes import is_whole
from fpainter.paths import existing
from fpainter.pictures.film import Frames, check_film
from fpainter.pictures.grids import grid, sheet, to_picture
from fpainter.pictures.latents_file import StoredLatents
from fpainter.pictures.selection import Selection
from fpainter.pictures.strips import check_normalisation
from fpainter.pictures.walk import check_walk, training_walk, walk_images
from fpainter.progress import reporting
from fpainter.tasks.chosen import (
    chosen_images,
    chosen_painter,
    edited_sampler,
    numbers,
    write_chosen,
)
from fpainter.tasks.paintings import write_film, write_frames, write_spectrum_of, write_strips

log = logging.getLogger(__name__)

# What else can be asked for: looks for mistakes, and returns what writes into a folder. Imported
# when it is asked for: with data come Lightning and seconds.
PREPARED = {
    "nearest": "fpainter.tasks.nearest:prepare_nearest",
    "mixing": "fpainter.tasks.styles:prepare_mixing",
    "noise": "fpainter.tasks.styles:prepare_noise",
    "attention": "fpainter.tasks.styles:prepare_attention",
    "projection": "fpainter.tasks.projection:prepare_projection",
    "augmentation": "fpainter.tasks.augmentation:prepare_augmentation",
}
KINDS = ("images", "grid", "strips", "film", "walk", "spectrum", *PREPARED)
BY_DEFAULT = ("images", "grid", "strips")
OF_PAINTERS = ("strips", "film", "spectrum")  # what shows painting steps
GRID_AT_MOST = 1024  # images; a larger grid would be no picture any more
NUMBERS = ("seeds", "drop_steps", "strips.steps", "walk.indices", "mixing.coarse", "mixing.fine")
AT_LEAST_ONE = (
    "num_images", "batch_size", "grid.scale", "strips.num_columns", "strips.scale",
    "film.num_images", "walk.num_images", "spectrum.num_images",
    "nearest.num_images", "nearest.neighbours", "nearest.num_held_back",
    "mixing.num_images", "noise.num_images", "noise.num_samples", "noise.num_shown",
    "attention.num_images", "projection.num_steps", "projection.num_candidates",
    "augmentation.num_images",
)  # fmt: skip
OR_NULL = ("grid.columns", "film.columns", "nearest.scale", "augmentation.scale")
YES_OR_NO = ("refined", "film.margin")
TRAINING_ONLY = ("supervision", "freeze_painter")  # settings that change no image


def generate(cfg: DictConfig) -> None:
    """Write what is asked for into the run directory: images, and pictures of how they come about.

    Where images are refined, those before the refiner are written, too, and shown at the left.

    Image i depends on the seed and on i alone, so asking for more images gives the same first ones.

    Args:
        cfg: composed from ``configs/generate.yaml``.

    Raises:
        UserError: if something asked for cannot be made.
    """
    _check(cfg)
    if cfg.image is not None and "projection" not in entries(cfg.what):
        raise UserError(f"image={cfg.image}: is what what=projection looks for; give that, too")
    if cfg.walk.ckpts is not None and "walk" not in entries(cfg.what):
        raise UserError(f"walk.ckpts={cfg.walk.ckpts}: is what what=walk passes; give that, too")
    output = Path(HydraConfig.get().runtime.output_dir)
    if cfg.ckpt is None and entries(cfg.what) == ["augmentation"]:  # which needs no painter
        written = _prepared("augmentation")(None, None, cfg)(output)
        log.info("%s written to %s", ", ".join(written), output)
        return
    trained = chosen_painter(cfg)
    selection = chosen_images(trained, cfg)
    kinds = _kinds(cfg.what, selection.sampler)
    others = _others(trained, selection.stored, cfg) if "walk" in kinds else None
    writers = [_prepared(kind)(trained, selection, cfg) for kind in kinds if kind in PREPARED]
    written = []
    if "images" in kinds or "grid" in kinds:
        written += _write_images(selection, cfg, output, kinds)
    if "strips" in kinds:
        written += write_strips(selection, cfg, output)
    if "film" in kinds:
        written += write_film(selection, cfg, output)
    if "walk" in kinds:
        written += _write_walk(selection, cfg, output, others)
    if "spectrum" in kinds:
        written += write_spectrum_of(selection, cfg, output)
    for write in writers:
        written += write(output)
    log.info("%s written to %s", ", ".join(written), output)


def _prepared(kind: str) -> Any:
    """Return the function that prepares a kind of `PREPARED`."""
    return pkgutil.resolve_name(PREPARED[kind])


def _kinds(what: Any, sampler: Sampler) -> tuple[str, ...]:
    """Return the kinds of pictures to make, those of the default without what cannot be."""
    kinds = BY_DEFAULT if what is None else tuple(entries(what))
    if not kinds or not {*kinds} <= {*KINDS}:
        raise UserError(f"what={what}: must be among {', '.join(KINDS)}")
    if isinstance(sampler.generator, PaintingGenerator):
        return kinds
    lost = [kind for kind in kinds if kind in OF_PAINTERS]
    reason = f"{', '.join(lost)}: {type(sampler.generator).__name__} does not paint in steps"
    if lost and what is not None:
        raise UserError(f"what={reason}")
    if lost:
        log.info("no %s", reason)
    return tuple(kind for kind in kinds if kind not in lost)


def _check(cfg: DictConfig) -> None:
    """Find mistakes before anything is painted."""
    columns = [key for key in OR_NULL if OmegaConf.select(cfg, key) is not None]
    check_numbers(cfg, *AT_LEAST_ONE, *columns)
    for key in YES_OR_NO:
        value = OmegaConf.select(cfg, key)
        if not isinstance(value, bool):
            raise UserError(f"{key}={value}: must be true or false")
    if not is_whole(cfg.strips.num_images, least=0):
        given = cfg.strips.num_images
        raise UserError(f"strips.num_images={given}: must be at least 0, a whole number")
    with blaming("strips"):
        check_normalisation(cfg.strips.normalisation)
    with blaming("film"):
        check_film(cfg.film.format, cfg.film.fps, cfg.film.hold, cfg.film.scale)
    with blaming("walk"):
        check_walk(cfg.walk.frames_between, cfg.walk.path)
    for key in NUMBERS:
        numbers(cfg, key)


def _others(
    first: TrainedPainter, stored: StoredLatents | None, cfg: DictConfig
) -> Iterator[Sampler] | None:
    """Return the painters that a walk through training passes after the first, if it is one.

    Each is loaded when it is needed; their paths are looked at now.
    """
    given = cfg.walk.ckpts
    if given is None:
        return None
    paths: list[Path] = []
    for each in entries(given):
        found = sorted(glob.glob(os.path.expanduser(str(each))))
        paths += map(Path, found) if found else [existing(each, "walk.ckpts")]
    # A pattern for all of a run's checkpoints finds the first one, too.
    paths = [path for path in paths if path.resolve() != first.path.expanduser().resolve()]

    def load(path: Path) -> Sampler:
        where = f"walk.ckpts={path}"
        other = load_painter(path, cfg.weights, pick_device(cfg.device), key="walk.ckpts")
        here, there = _settings(first), _settings(other)
        for name in here | there:
            # What an older version did not know yet is off.
            if (here.get(name) or None) != (there.get(name) or None):
                raise UserError(
                    f"{where}: has another {name} than ckpt={first.path}; a walk passes "
                    "checkpoints of one architecture, such as those of one run"
                )
        return edited_sampler(other, cfg, stored)

    return map(load, paths)


def _settings(trained: TrainedPainter) -> dict[str, Any]:
    """Return what decides how a painter's weights become images."""
    model = trained.config.model
    parts: Any = OmegaConf.to_container(model.generator)
    parts.get("head", {}).pop("learning_rule", None)  # which is a part of its own, too
    generator = {
        f"model.generator.{key}": value for key, value in parts.items() if key not in TRAINING_ONLY
    }
    return {**generator, "model.image_range": model.image_range}


def _write_images(
    selection: Selection, cfg: DictConfig, output: Path, kinds: Sequence[str]
) -> list[str]:
    """Write each image into a folder, and those that fit into one grid."""
    if "images" not in kinds:
        selection = selection.first(GRID_AT_MOST)
    shown: dict[str, list[Tensor]] = {}
    room = GRID_AT_MOST
    done, total = 0, len(selection.indices)
    with reporting() as report:
        for part in selection.slices():
            report("Painting", done, total)
            for name, images in part.images().items():
                if "images" in kinds:
                    (output / name).mkdir(exist_ok=True)
                    for index, image in zip(part.indices, images, strict=True):
                        to_picture(image).save(output / name / f"{index:06d}.png")
                shown.setdefault(name, []).append(images[:room])
            room = max(0, room - len(part.indices))
            done += len(part.indices)
    written = [f"{len(selection.indices)} {name}" for name in shown] if "images" in kinds else []
    if "images" in kinds:
        written.append(write_chosen(selection, cfg.truncation, output / "latents.npz"))
    if "grid" in kinds:
        by_class = cfg.label is None and cfg.grid.columns is None
        labels = selection.first(GRID_AT_MOST).labels() if by_class else None
        names = selection.sampler.generator.label_names()
        parts = [torch.cat(images) for images in shown.values()]
        picture = sheet(parts, cfg.grid.columns, cfg.grid.scale, labels, names)
        picture.save(output / "grid.png")
        written.append("grid.png")
    return written


def _write_walk(
    selection: Selection, cfg: DictConfig, output: Path, others: Iterator[Sampler] | None
) -> list[str]:
    """Write the sheet and the film of a walk through latents or, with others, through training."""
    indices = numbers(cfg, "walk.indices") or selection.first(cfg.walk.num_images).indices
    selection = replace(selection, indices=indices)
    between = cfg.walk.frames_between
    with blaming("walk"):
        if others is None:
            images = walk_images(selection, between, cfg.walk.path)
            cells, columns, hold = images[:, None], between + 1, 0
        else:
            states = training_walk(chain([selection.sampler], others), selection, between)
            images, columns, hold = states.flatten(0, 1), states.shape[1], cfg.film.hold
            cells = states.movedim(1, 0)
    grid(images, columns, scale=cfg.grid.scale).save(output / "walk.png")
    gap = 2 if cells.shape[1] > 1 else 0
    frames = Frames(len(cells), lambda index: grid(cells[index], cfg.film.columns, gap))
    return ["walk.png", *write_frames(frames, cfg.film, output / "walk", hold)]
