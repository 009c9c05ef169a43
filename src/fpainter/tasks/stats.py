"""Statistics of real images, ahead of time and in pytorch-fid's files."""

import logging
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.progress import Progress

from fpainter.data.cache import CachedImages, default_cache_dir
from fpainter.errors import UserError
from fpainter.evaluation.inception.network import load_inception
from fpainter.evaluation.metrics.frechet import Moments
from fpainter.evaluation.protocols import get_protocol
from fpainter.evaluation.statistics import real_statistics, store_statistics
from fpainter.evaluation.statistics_file import cache_path
from fpainter.launch.devices import pick_device
from fpainter.launch.settings import blaming

log = logging.getLogger(__name__)


def stats(cfg: DictConfig) -> None:
    """Fill the cache that training and scoring look into; exchange with pytorch-fid's files.

    Args:
        cfg: composed from ``configs/stats.yaml``.

    Raises:
        UserError: if a file cannot be used.
    """
    device = pick_device(cfg.device)
    with blaming("fid"):
        protocol = get_protocol(cfg.fid.protocol)
    images: CachedImages = instantiate(cfg.data).images
    network = load_inception(cfg.fid.weights_path, protocol).to(device)
    cache = Path(cfg.fid.cache_dir).expanduser() if cfg.fid.cache_dir else default_cache_dir()
    if cfg["import"] is not None:
        moments = read_npz(Path(cfg["import"]).expanduser(), len(images))
        with blaming(f"import={cfg['import']}"):
            store_statistics(moments, images, network, protocol, cache)
    with Progress(transient=True, disable=not sys.stdout.isatty()) as progress:
        task = progress.add_task("statistics of the reals", total=len(images))
        statistics = real_statistics(
            images,
            network,
            protocol,
            cache,
            cfg.batch_size,
            device=device,
            progress=lambda done, total: progress.update(task, completed=done),
        )
    path = cache_path(cache, statistics.key)
    log.info("statistics of %d images (%s) are in %s", len(images), protocol.name, path)
    if cfg.export is not None:
        path = Path(cfg.export).expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.savez(file, mu=statistics.moments.mean, sigma=statistics.moments.cov)
        log.info("exported to %s", path)


def read_npz(path: Path, num_images: int) -> Moments:
    """Read mean and covariance as pytorch-fid writes them; it does not store of how many images.

    Args:
        path: a ``.npz`` with ``mu`` [F] and ``sigma`` [F F].
        num_images: of how many images they are.

    Raises:
        UserError: if the file is not one.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            mean, cov = (torch.from_numpy(file[name]).double() for name in ("mu", "sigma"))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"import={path}: not a file of pytorch-fid's ({error})") from error
    if mean.ndim != 1 or cov.shape != (len(mean), len(mean)) or not cov.isfinite().all():
        raise UserError(f"import={path}: holds no mean [F] and finite covariance [F F]")
    return Moments(num_images, mean, cov)
