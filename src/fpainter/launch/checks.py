"""Checks of settings that several tasks have."""

from omegaconf import DictConfig, OmegaConf

from fpainter.errors import UserError
from fpainter.nn.sizes import is_whole


def check_numbers(cfg: DictConfig, *at_least_one: str) -> None:
    """Refuse a seed that is no whole number, and other numbers that are not at least 1.

    Args:
        cfg: has a ``seed``.
        at_least_one: the other numbers' keys.

    Raises:
        UserError: at the first that is wrong.
    """
    for key in at_least_one:
        value = OmegaConf.select(cfg, key)
        if not is_whole(value):
            raise UserError(f"{key}={value}: must be at least 1, a whole number")
    if not isinstance(cfg.seed, int):
        raise UserError(f"seed={cfg.seed}: must be a whole number")
