"""What tasks need to read their settings, and to say what is wrong with them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from fpainter.errors import UserError
from fpainter.nn.sizes import is_whole


def in_sweep() -> bool:
    """Return whether what runs now is a job of a sweep."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


@contextmanager
def blaming(key: str) -> Iterator[None]:
    """Turn the ValueError of something built from a key of the config into a message."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"{error} (in {key})") from error


def entries(value: Any) -> list[Any]:
    """Return the entries of a list, or the only one."""
    return list(value) if OmegaConf.is_list(value) else [value]


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


def fill_from(config: DictConfig, stored: DictConfig) -> DictConfig:
    """Complete a section of the command line with what a checkpoint's run used.

    Args:
        config: a section, nulls meaning not given; with a ``_target_`` it is used alone.
        stored: the same section of the checkpoint's config.
    """
    given = {str(key): value for key, value in config.items() if value is not None}
    if "_target_" in given:
        return OmegaConf.create(given)
    for key in given.keys() - stored.keys():
        raise UserError(f"{key}={given[key]}: the checkpoint's run had no such setting")
    return cast(DictConfig, OmegaConf.merge(stored, given))
