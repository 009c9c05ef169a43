"""The page that paints in the browser, made from one checkpoint or two."""

import logging
import os
import sys
import webbrowser
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fpainter.errors import UserError
from fpainter.launch.settings import check_numbers
from fpainter.pictures.selection import Selection
from fpainter.tasks.chosen import chosen_painter
from fpainter.tasks.classes import chosen_label
from fpainter.viewer.page import work, write_page

log = logging.getLogger(__name__)


def viewer(cfg: DictConfig) -> None:
    """Write one HTML file that holds the instructions of some images and paints them; open it.

    Image i is that of ``fpainter.generate`` with the same seed.

    Args:
        cfg: composed from ``configs/viewer.yaml``.

    Raises:
        UserError: if a checkpoint does not paint in steps, or the page cannot be written.
    """
    check_numbers(cfg, "num_images")
    if not isinstance(cfg.open, bool):
        raise UserError(f"open={cfg.open}: must be true or false")
    default = Path(HydraConfig.get().runtime.output_dir) / "viewer.html"
    output = Path(str(cfg.output or default)).expanduser()
    if output.suffix != ".html":
        raise UserError(f"output={output}: must end in .html")
    works = [
        _work(key, cfg) for key in ("ckpt", "compare") if key == "ckpt" or cfg[key] is not None
    ]
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_page(works, output)
    except OSError as error:
        raise UserError(f"output={output}: {error.strerror}") from error
    size = output.stat().st_size / 1e6
    log.info("%d images written to %s (%.1f MB)", cfg.num_images, output, size)
    if cfg.open and _has_display():
        webbrowser.open(output.resolve().as_uri())


def _has_display() -> bool:
    """Say whether a browser would have a window; in a terminal it would take the terminal."""
    windows = sys.platform in ("win32", "darwin")
    return windows or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _work(key: str, cfg: DictConfig) -> dict[str, Any]:
    """Paint the images of the checkpoint that a key of the config names."""
    trained = chosen_painter(cfg, key)
    path = trained.path.expanduser().resolve()
    in_run = path.parent.name == "checkpoints"
    name = f"{path.parents[1].name}/{path.name}" if in_run else path.name
    try:
        label = chosen_label(trained.sampler, cfg.label)
        indices = tuple(range(cfg.num_images))
        chosen = Selection(trained.sampler, cfg.seed, indices, label=label)
        about = name, trained.iteration, trained.weights
        return work(trained.sampler, chosen.latents(), *about, chosen.labels())
    except ValueError as error:
        raise UserError(f"{key}={trained.path}: {error}") from error
