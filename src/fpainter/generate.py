"""Paint images from a checkpoint: ``python -m fpainter.generate ckpt=PATH num_images=64``."""

import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from fpainter.checkpoints.inference import load_painter
from fpainter.errors import UserError
from fpainter.generators.base import PaintingGenerator
from fpainter.generators.painting import shown_steps
from fpainter.generators.sampler import Sampler
from fpainter.launch import blaming, launch, pick_device
from fpainter.visualisation.film import Frames, check_film, painting_film, save_film
from fpainter.visualisation.grids import beside, grid, to_picture
from fpainter.visualisation.selection import Selection, edited, whole_numbers
from fpainter.visualisation.spectrum import draw_spectrum, spectrum, write_spectrum
from fpainter.visualisation.strips import check_normalisation, draw_strips
from fpainter.visualisation.walk import check_walk, walk_images

log = logging.getLogger(__name__)

KINDS = ("images", "grid", "strips", "film", "walk", "spectrum")
BY_DEFAULT = ("images", "grid", "strips")
OF_PAINTERS = ("strips", "film", "spectrum")  # what shows painting steps
GRID_AT_MOST = 1024  # images; a larger grid would be no picture any more
NUMBERS = ("seeds", "drop_steps", "strips.steps", "walk.indices")
AT_LEAST_ONE = (
    "num_images", "batch_size", "grid.scale", "strips.num_columns", "strips.scale",
    "film.num_images", "walk.num_images", "spectrum.num_images",
)  # fmt: skip


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
    sampler = load_painter(cfg.ckpt, cfg.weights, pick_device(cfg.device)).sampler
    with blaming(f"ckpt={cfg.ckpt}"):
        sampler = edited(sampler, cfg.num_steps, _numbers(cfg, "drop_steps"), cfg.refined)
    kinds = _kinds(cfg.what, sampler)
    indices = _numbers(cfg, "seeds") or tuple(range(cfg.num_images))
    selection = Selection(sampler, cfg.seed, indices, cfg.batch_size)
    output = Path(HydraConfig.get().runtime.output_dir)
    written = []
    if "images" in kinds or "grid" in kinds:
        written += _write_images(selection, kinds, cfg, output)
    if "strips" in kinds and cfg.strips.num_images:
        written.append(_write_strips(selection, cfg, output))
    if "film" in kinds:
        works = [part.painted() for part in selection.first(cfg.film.num_images).slices()]
        frames = painting_film(works, cfg.film.columns, cfg.film.margin)
        written.append(_write_film(frames, "film", cfg.film, output, cfg.film.hold))
    if "walk" in kinds:
        written += _write_walk(selection, cfg, output)
    if "spectrum" in kinds:
        written += _write_spectrum(selection, cfg, output)
    log.info("%s written to %s", ", ".join(written), output)


def _kinds(what: Any, sampler: Sampler) -> tuple[str, ...]:
    """Return the kinds of pictures to make, those of the default without what cannot be."""
    kinds = BY_DEFAULT if what is None else (what,) if isinstance(what, str) else tuple(what)
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
    for key in AT_LEAST_ONE:
        value = OmegaConf.select(cfg, key)
        if not isinstance(value, int) or value < 1:
            raise UserError(f"{key}={value}: must be at least 1")
    with blaming("strips"):
        check_normalisation(cfg.strips.normalisation)
    with blaming("film"):
        check_film(cfg.film.format, cfg.film.fps, cfg.film.hold, cfg.film.scale)
    with blaming("walk"):
        check_walk(cfg.walk.frames_between, cfg.walk.path)
    for key in NUMBERS:
        _numbers(cfg, key)


def _numbers(cfg: DictConfig, key: str) -> tuple[int, ...]:
    """Read numbers from the config; none for null."""
    given = OmegaConf.select(cfg, key)
    if given is None:
        return ()
    with blaming(key):
        return whole_numbers(OmegaConf.to_object(given) if OmegaConf.is_list(given) else given)


def _write_images(
    selection: Selection, kinds: tuple[str, ...], cfg: DictConfig, output: Path
) -> list[str]:
    """Write each image into a folder, and those that fit into one grid."""
    if "images" not in kinds:
        selection = selection.first(GRID_AT_MOST)
    shown: dict[str, list[Tensor]] = {}
    room = GRID_AT_MOST
    for part in selection.slices():
        for name, images in part.images().items():
            if "images" in kinds:
                (output / name).mkdir(exist_ok=True)
                for index, image in zip(part.indices, images, strict=True):
                    to_picture(image).save(output / name / f"{index:06d}.png")
            shown.setdefault(name, []).append(images[:room])
        room = max(0, room - len(part.indices))
    written = [f"{len(selection.indices)} {name}" for name in shown] if "images" in kinds else []
    if "grid" in kinds:
        columns, scale = cfg.grid.columns, cfg.grid.scale
        sheets = [grid(torch.cat(images), columns, scale=scale) for images in shown.values()]
        beside(sheets).save(output / "grid.png")
        written.append("grid.png")
    return written


def _write_strips(selection: Selection, cfg: DictConfig, output: Path) -> str:
    work = selection.first(cfg.strips.num_images).painted()
    given = _numbers(cfg, "strips.steps")
    steps = given or shown_steps(work.painting.num_steps, cfg.strips.num_columns)
    with blaming("strips"):
        strips = draw_strips(work, steps, cfg.strips.normalisation, cfg.strips.scale)
    strips.save(output / "strips.png")
    return "strips.png"


def _write_film(frames: Frames, name: str, film: DictConfig, output: Path, hold: float) -> str:
    with blaming("film"):
        save_film(frames, output / f"{name}.{film.format}", film.fps, hold, film.scale)
    return f"{name}.{film.format}"


def _write_walk(selection: Selection, cfg: DictConfig, output: Path) -> list[str]:
    indices = _numbers(cfg, "walk.indices") or selection.first(cfg.walk.num_images).indices
    between = cfg.walk.frames_between
    with blaming("walk"):
        images = walk_images(replace(selection, indices=indices), between, cfg.walk.path)
    grid(images, between + 1, scale=cfg.grid.scale).save(output / "walk.png")
    frames = Frames(len(images), lambda index: to_picture(images[index]))
    return ["walk.png", _write_film(frames, "walk", cfg.film, output, hold=0)]


def _write_spectrum(selection: Selection, cfg: DictConfig, output: Path) -> list[str]:
    parts = selection.first(cfg.spectrum.num_images).slices()
    measured = spectrum(part.painted().painting for part in parts)
    write_spectrum(measured, output / "spectrum.csv")
    draw_spectrum(measured, output / "spectrum.png")
    return ["spectrum.csv", "spectrum.png"]


def main() -> None:
    """Run ``fpainter-generate``."""
    try:
        launch("generate", generate, sys.argv[1:])
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"fpainter: {where}{error.strerror}")


if __name__ == "__main__":
    main()
