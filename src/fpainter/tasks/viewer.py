"""The page that paints in the browser, made from one checkpoint or two."""

import logging
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fpainter.checkpoints.inference import load_painter
from fpainter.errors import UserError
from fpainter.generators.latents import latents
from fpainter.generators.painter import FastWeightPainter
from fpainter.launch.command import blaming, pick_device
from fpainter.nn.sizes import is_whole
from fpainter.viewer.page import html, work

log = logging.getLogger(__name__)


def viewer(cfg: DictConfig) -> None:
    """Write one HTML file that holds the instructions of some images and paints them.

    Image i is that of ``fpainter.generate`` with the same seed.

    Args:
        cfg: composed from ``configs/viewer.yaml``.

    Raises:
        UserError: if a checkpoint does not paint in steps, or the page cannot be written.
    """
    if not is_whole(cfg.num_images):
        raise UserError(f"num_images={cfg.num_images}: must be at least 1")
    if not isinstance(cfg.seed, int):
        raise UserError(f"seed={cfg.seed}: must be a whole number")
    output = Path(HydraConfig.get().runtime.output_dir) / "viewer.html"
    if cfg.output is not None:
        output = Path(str(cfg.output)).expanduser()
    if output.suffix != ".html":
        raise UserError(f"output={output}: must end in .html")
    works = [_work("ckpt", cfg)]
    if cfg.compare is not None:
        works.append(_work("compare", cfg))
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(html(works), encoding="utf-8")
    except OSError as error:
        raise UserError(f"output={output}: {error.strerror}") from error
    size = output.stat().st_size / 1e6
    log.info("%d images written to %s (%.1f MB)", cfg.num_images, output, size)


def _work(key: str, cfg: DictConfig) -> dict[str, Any]:
    """Paint the images of the checkpoint that a key of the config names."""
    given = str(cfg[key])
    device = pick_device(cfg.device)
    trained = load_painter(given, cfg.weights, device, key=key)
    painter = trained.sampler.generator
    if not isinstance(painter, FastWeightPainter):
        kind = type(painter).__name__
        raise UserError(
            f"{key}={given}: {kind} does not paint in steps, so there is nothing to see"
        )
    z = latents(cfg.seed, range(cfg.num_images), painter.d_latent)
    path = trained.path.expanduser().resolve()
    name = path.name
    if path.parent.name == "checkpoints":
        name = f"{path.parents[1].name}/{name}"
    with blaming(f"{key}={given}"):
        return work(trained.sampler, z, name, trained.iteration, trained.weights)
