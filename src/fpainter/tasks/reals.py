"""The real images that a trained painter's own are compared with, and how."""

from omegaconf import DictConfig, OmegaConf

from fpainter.data.datamodule import ImageDataModule
from fpainter.generators.trained import TrainedPainter
from fpainter.launch.settings import fill_from
from fpainter.trusted import build


def reals_of(painter: TrainedPainter, cfg: DictConfig) -> tuple[ImageDataModule, DictConfig]:
    """Find a painter's data and ``fid``; what is not given of them is as in its run.

    Args:
        painter: what was trained.
        cfg: has ``image_size`` (None: as in the run), ``data`` and ``fid``.

    Raises:
        UserError: if there are no such images, or a setting does not fit the painter.
    """
    stored = painter.config
    # Reals and fakes can only be compared at the size and with the channels that are painted.
    given = cfg.copy()
    given.image_size = stored.image_size if cfg.image_size is None else cfg.image_size
    data_config = fill_from(given.data, stored.data)
    data_config.channels = stored.data.channels
    names = painter.sampler.generator.class_names
    if names and data_config.get("labels"):
        data_config.class_names = list(names)  # or label i could be another class in other data
    data = build_data(data_config, f"ckpt={painter.path}")
    return data, fill_from(cfg.fid, stored.fid)


def build_data(config: DictConfig, where: str) -> ImageDataModule:
    """Build what a checkpoint or the command line names, if it is one of our data modules.

    Args:
        config: with a ``_target_``.
        where: it stands, for messages.
    """
    plain = OmegaConf.to_container(config, resolve=True)
    return build(plain, where, trusted=("fpainter.data.",), constructors=True)
