"""The files that a config names, found before anything slow is imported to read them."""

from omegaconf import DictConfig, OmegaConf

from fpainter.data.sources import find_images
from fpainter.launch.continuation import locate_checkpoint
from fpainter.launch.settings import entries, in_sweep
from fpainter.paths import existing, is_hub_name


def find_inputs(cfg: DictConfig) -> None:
    """Refuse a config that names a file or folder which is not there.

    Args:
        cfg: of any command.

    Raises:
        UserError: if there is no such file or folder; with what to do about it.
    """
    for key in ("ckpt", "compare", "images", "import"):
        for path in entries(OmegaConf.select(cfg, key, throw_on_missing=True)):
            on_the_hub = key in ("ckpt", "compare") and is_hub_name(path)
            if path is not None and not on_the_hub:
                existing(path, key)
    if "auto_resume" in cfg and (cfg.auto_resume or in_sweep()):
        return  # an earlier start may have left all that is needed, or a finished run
    if "warm_start" in cfg and cfg.warm_start.ckpt is not None and cfg.ckpt is None:
        locate_checkpoint(cfg.warm_start.ckpt, key="warm_start.ckpt")
    if str(OmegaConf.select(cfg, "data._target_")).endswith(".from_folder"):
        find_images(cfg.data.dir, cfg.data.hint)
