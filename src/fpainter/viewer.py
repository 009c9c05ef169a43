"""Watch a painter at work in the browser: ``python -m fpainter.viewer ckpt=PATH``."""

import logging
import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fpainter.checkpoints.inference import TrainedPainter, load_painter
from fpainter.errors import UserError
from fpainter.evaluation.latents import latents
from fpainter.generators.painter import FastWeightPainter
from fpainter.launch import blaming, launch, pick_device
from fpainter.visualisation.viewer_page import Work, html, work

log = logging.getLogger(__name__)


def viewer(cfg: DictConfig) -> None:
    """Write one HTML file that holds the instructions of some images and paints them.

    Image i is that of ``fpainter.generate`` with the same seed.

    Args:
        cfg: composed from ``configs/viewer.yaml``.

    Raises:
        UserError: if a checkpoint does not paint in steps, or the page cannot be written.
    """
    if cfg.num_images < 1:
        raise UserError(f"num_images={cfg.num_images}: must be at least 1")
    output = Path(cfg.output or Path(HydraConfig.get().runtime.output_dir) / "viewer.html")
    output = output.expanduser()
    if output.suffix != ".html":
        raise UserError(f"output={output}: must end in .html")
    works = [_work(path, cfg) for path in (cfg.ckpt, cfg.compare) if path is not None]
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(html(works), encoding="utf-8")
    except OSError as error:
        raise UserError(f"output={output}: {error.strerror}") from error
    size = output.stat().st_size / 1e6
    log.info("%d images written to %s (%.1f MB)", cfg.num_images, output, size)


def _work(path: str, cfg: DictConfig) -> Work:
    """Paint a checkpoint's images for the page."""
    trained = load_painter(path, cfg.weights, pick_device(cfg.device))
    generator = trained.sampler.generator
    if not isinstance(generator, FastWeightPainter):
        kind = type(generator).__name__
        raise UserError(f"ckpt={path}: {kind} does not paint in steps, so there is nothing to see")
    z = latents(cfg.seed, range(cfg.num_images), generator.d_latent)
    with blaming(f"ckpt={path}"):
        return work(trained.sampler, z, *_label(trained, generator))


def _label(trained: TrainedPainter, generator: FastWeightPainter) -> tuple[str, str]:
    """Name a checkpoint, and say what was trained for how long."""
    path = trained.path.expanduser().resolve()
    name = path.name
    if path.parent.name == "checkpoints":
        name = f"{path.parents[1].name}/{name}"
    parts = [generator.sequence_processor, generator.input_generator, generator.learning_rule]
    parts += [generator.refiner] if generator.refines else []
    model = ", ".join(type(part).__name__.removesuffix("Processor") for part in parts)
    height, width = generator.image_size
    return name, (
        f"Iteration {trained.iteration:,} ({trained.weights} weights). {model}. "
        f"T={generator.num_steps}, {width}×{height} pixels."
    )


def main() -> None:
    """Run ``fpainter-viewer``."""
    launch("viewer", viewer, sys.argv[1:])


if __name__ == "__main__":
    main()
