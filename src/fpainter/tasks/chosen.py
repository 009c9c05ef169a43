"""Which images a command is about, and with what settings they are painted."""

import logging
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from fpainter.checkpoints.inference import TrainedPainter, load_painter
from fpainter.errors import UserError
from fpainter.generators.base import PaintingGenerator
from fpainter.generators.sampler import Sampler
from fpainter.generators.synthesis.styles import FromStyles
from fpainter.generators.view import View
from fpainter.launch.devices import pick_device
from fpainter.launch.settings import blaming, entries
from fpainter.nn.sizes import as_size
from fpainter.paths import existing, own_painter
from fpainter.pictures.latents_file import StoredLatents, read_latents, write_latents
from fpainter.pictures.selection import Selection, edited, whole_numbers
from fpainter.pictures.styles import from_styles, truncated
from fpainter.tasks.classes import chosen_label

log = logging.getLogger(__name__)


def chosen_painter(cfg: DictConfig, key: str = "ckpt") -> TrainedPainter:
    """Load the painter that a command names; where it names none, the package's own, and say so.

    Args:
        cfg: of a command with ``weights`` and ``device``.
        key: where the painter is named.

    Raises:
        UserError: if it cannot be used.
    """
    path = cfg[key]
    if path is None:
        path = own_painter()
        log.info("no %s= is given: this is the painter of portraits that comes with fpainter", key)
    return load_painter(str(path), cfg.weights, pick_device(cfg.device), key=key)


def numbers(cfg: DictConfig, key: str) -> tuple[int, ...]:
    """Read numbers from the config; none for null.

    Raises:
        UserError: if there are others than whole numbers.
    """
    given = OmegaConf.select(cfg, key)
    if given is None:
        return ()
    with blaming(key):
        return whole_numbers(OmegaConf.to_object(given) if OmegaConf.is_list(given) else given)


def edited_sampler(
    trained: TrainedPainter, cfg: DictConfig, stored: StoredLatents | None = None
) -> Sampler:
    """Return a checkpoint's sampler with the steps, the size and the truncation asked for.

    Args:
        trained: the checkpoint.
        cfg: of a command with ``num_steps``, ``drop_steps``, ``refined``, ``truncation`` and
            ``image_size``; it may have a ``crop``.
        stored: latents that it shall paint; None: those of a seed.

    Raises:
        UserError: if it cannot paint so.
    """
    with blaming("num_steps or drop_steps"):
        steps = cfg.num_steps, numbers(cfg, "drop_steps")
        sampler = edited(trained.sampler, *steps, refined=cfg.refined)
    if stored is not None and stored.styles:
        with blaming(f"latents={cfg.latents}"):
            sampler = from_styles(sampler)
    truncation = chosen_truncation(cfg.truncation, stored)
    if truncation is not None:
        with blaming("truncation"):
            sampler = truncated(sampler, truncation)
        if isinstance(sampler.generator, PaintingGenerator):
            kind = type(sampler.generator).__name__
            log.info("%s has no styles; its latents are multiplied by %g", kind, truncation)
    with blaming("image_size or crop"):
        return edited(sampler, view=_view(trained, cfg))


def chosen_truncation(asked: float | None, stored: StoredLatents | None) -> float | None:
    """Return the truncation asked for, else that of the file which the latents come from."""
    return stored.truncation if asked is None and stored is not None else asked


def _view(trained: TrainedPainter, cfg: DictConfig) -> View | None:
    """Return the size and part of the pictures that are asked for; None: as trained."""
    crop = OmegaConf.select(cfg, "crop")
    if cfg.image_size is None and crop is None:
        return None
    own = as_size(trained.config.image_size)
    size = own if cfg.image_size is None else as_size(cfg.image_size)
    if crop is None and size == own:
        return None
    return View.of(size, None if crop is None else entries(crop))


def chosen_images(trained: TrainedPainter, cfg: DictConfig) -> Selection:
    """Return the images that a command is about: those of a seed, or of a file of latents.

    Args:
        trained: the checkpoint that paints them.
        cfg: composed from ``configs/generate.yaml``.

    Raises:
        UserError: if they cannot be painted.
    """
    stored, indices = None, numbers(cfg, "seeds")
    if cfg.latents is not None:
        stored = read_latents(existing(cfg.latents, "latents"), f"latents={cfg.latents}")
        with blaming("seeds"):
            stored.places(indices)
        indices = indices or stored.numbers
    sampler = edited_sampler(trained, cfg, stored)
    if cfg.label is not None and isinstance(sampler.generator, FromStyles):
        raise UserError(f"label={cfg.label}: styles have their class in them; leave it out")
    label = chosen_label(sampler, cfg.label)
    if stored is not None:
        _check_fit(stored, sampler, f"latents={cfg.latents}")
    indices = tuple(dict.fromkeys(indices)) or tuple(range(cfg.num_images))
    return Selection(sampler, cfg.seed, indices, cfg.batch_size, label, stored)


def _check_fit(stored: StoredLatents, sampler: Sampler, where: str) -> None:
    """Refuse latents of another generator."""
    found, asked = stored.latents.shape[1], sampler.d_latent
    if found != asked:
        raise UserError(f"{where}: has latents of {found} numbers; this checkpoint's have {asked}")
    num, labels = sampler.generator.num_labels, stored.labels
    if num and labels is not None and not (labels.min() >= 0 and labels.max() < num):
        raise UserError(f"{where}: has labels beyond this checkpoint's {num} classes")


def write_chosen(selection: Selection, truncation: float | None, path: Path) -> str:
    """Write the latents of images as ``latents=FILE`` takes them; return the file's name.

    Args:
        selection: the images.
        truncation: asked for; None: as in the file that they come from, if any.
        path: the file.
    """
    generator = selection.sampler.generator
    truncation = chosen_truncation(truncation, selection.stored)
    shape = (-1, generator.d_style) if isinstance(generator, FromStyles) else ()
    latents, labels = selection.latents(), selection.labels()
    stored = StoredLatents(selection.indices, latents, bool(shape), labels, truncation)
    write_latents(stored, path, shape)
    return path.name
