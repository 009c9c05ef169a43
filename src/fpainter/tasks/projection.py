"""A picture from a file, and the latent with which a generator comes nearest to it."""

import logging
import math
from dataclasses import replace
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor

from fpainter.checkpoints.inference import TrainedPainter
from fpainter.data.decode import render
from fpainter.data.sources import MAX_BYTES, open_image
from fpainter.errors import UserError, first_line
from fpainter.evaluation.inception.network import InceptionFeatures, load_inception
from fpainter.evaluation.likeness import Likeness
from fpainter.evaluation.protocols import get_protocol
from fpainter.generators.base import PaintingGenerator
from fpainter.launch.settings import blaming, fill_from
from fpainter.nn.sizes import as_size, check_number
from fpainter.paths import existing
from fpainter.pictures.grids import grid, labelled
from fpainter.pictures.latents_file import write_latents
from fpainter.pictures.nearest import WIDTH
from fpainter.pictures.projection import Projection, Search, default_space, project
from fpainter.pictures.selection import Selection
from fpainter.progress import reporting
from fpainter.tasks.chosen import chosen_truncation
from fpainter.tasks.paintings import write_film, write_strips
from fpainter.tasks.styles import Writer

log = logging.getLogger(__name__)


def prepare_projection(trained: TrainedPainter, selection: Selection, cfg: DictConfig) -> Writer:
    """Return what looks for the latent of a picture, and writes what has been found.

    Args:
        trained: the checkpoint.
        selection: says what paints, with which seed, and the label, if one is asked for.
        cfg: composed from ``configs/generate.yaml``.

    Raises:
        UserError: if there is no such picture, or it cannot be looked for so.
    """
    if cfg.image is None:
        raise UserError("what=projection: give the picture to be painted: image=FILE")
    size = as_size(trained.config.image_size if cfg.image_size is None else cfg.image_size)
    target = _read_picture(trained, size, f"image={cfg.image}", existing(cfg.image, "image"))
    sampler, options = selection.sampler, cfg.projection
    rest = options.num_steps, options.lr, options.num_candidates, options.prior
    with blaming("projection"):
        space = options.space or default_space(sampler)
        search = Search(space, *rest, cfg.seed, selection.batch_size)
        search.check(sampler)
        check_number("features", options.features, zero=True)

    def write(output: Path) -> list[str]:
        device = next(sampler.generator.parameters()).device
        network = _network(trained, cfg, device) if options.features else None
        weight = options.features
        likeness = Likeness(target.to(device), sampler.image_range, network, weight)
        with reporting(unit="done") as report:
            found = project(sampler, likeness, search, selection.label, report)
        log.info(
            "projection in %s: distance %.4g at the best of %d candidates, %.4g after %d steps; "
            "pixels differ by %.1f of 255", space, found.losses[0], search.num_candidates,
            min(found.losses), search.num_steps, _deviation(found.image, target),
        )  # fmt: skip
        return _write(found, target, selection, cfg, output / "projection")

    return write


def _read_picture(
    trained: TrainedPainter, image_size: tuple[int, int], where: str, path: Path
) -> Tensor:
    """Return a picture as bytes [C H W], of the size and the channels that are painted."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ValueError(f"has {size} bytes, too large for an image")
        picture = open_image(path.read_bytes())
        pixels = render(picture, image_size, trained.config.data.channels)
    except Exception as error:  # damage leads Pillow to errors of nearly any type
        raise UserError(f"{where}: not a readable image ({first_line(error)})") from error
    return torch.from_numpy(pixels)


def _network(
    trained: TrainedPainter, cfg: DictConfig, device: torch.device
) -> InceptionFeatures | None:
    """Return Inception; None where there are no weights."""
    fid = fill_from(cfg.fid, trained.config.fid)
    with blaming("fid"):
        protocol = get_protocol(fid.protocol)
    try:
        network = load_inception(fid.weights_path, protocol)
    except UserError as error:
        log.warning("pixels alone are compared, for lack of features: %s", error)
        return None
    return network.to(device)


def _deviation(image: Tensor, target: Tensor) -> float:
    return float((image.float() - target.float()).square().mean().sqrt())


def _write(
    found: Projection, target: Tensor, selection: Selection, cfg: DictConfig, folder: Path
) -> list[str]:
    folder.mkdir(exist_ok=True)
    images = torch.stack([target, found.start, found.image])
    scale = max(cfg.grid.scale, math.ceil(WIDTH / target.shape[-1]))
    picture = labelled(grid(images, 3, 1, scale), ["target", "start", "projection"])
    picture.save(folder / "projection.png")
    stored = found.stored
    if not stored.styles:
        truncation = chosen_truncation(cfg.truncation, selection.stored)
        stored = replace(stored, truncation=truncation)
    write_latents(stored, folder / "latents.npz", found.shape)
    written = ["projection.png", "latents.npz"]
    if isinstance(selection.sampler.generator, PaintingGenerator):
        own = replace(selection, indices=(0,), label=None, stored=stored)
        written += [*write_strips(own, cfg, folder), *write_film(own, cfg, folder)]
    return [f"projection/{name}" for name in written]
