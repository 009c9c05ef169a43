"""Statistics of real images, ahead of time and in pytorch-fid's files."""

import logging
import zipfile
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from fpainter.data.cache import CachedImages
from fpainter.errors import UserError
from fpainter.evaluation.features import Features
from fpainter.evaluation.metrics.frechet import Moments
from fpainter.launch.devices import pick_device
from fpainter.launch.settings import blaming
from fpainter.progress import reporting

log = logging.getLogger(__name__)


def stats(cfg: DictConfig) -> None:
    """Fill the cache that training and scoring look into; exchange with pytorch-fid's files.

    Args:
        cfg: composed from ``configs/stats.yaml``.

    Raises:
        UserError: if a file cannot be used.
    """
    device, fid = pick_device(cfg.device), cfg.fid
    with reporting() as report:
        with blaming("fid"):
            features = Features.load(
                fid.protocol, fid.weights_path, fid.cache_dir, device, cfg.batch_size, report
            )
        images: CachedImages = instantiate(cfg.data).images
        if cfg["import"] is not None:
            moments = read_npz(Path(cfg["import"]).expanduser(), len(images))
            with blaming(f"import={cfg['import']}"):
                features.store(moments, images)
        statistics = features.statistics(images)
    path = statistics.path
    log.info("statistics of %d images (%s) are in %s", len(images), fid.protocol, path)
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
