"""What tasks need to read their settings, and to say what is wrong with them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from fpainter.errors import UserError


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


def quoted(path: Path | str | list[str]) -> str:
    """Quote a path, or a list of them, for Hydra's grammar."""
    if isinstance(path, list):
        return f"[{','.join(map(quoted, path))}]"
    return "'" + str(path).replace("\\", "\\\\").replace("'", "\\'") + "'"


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
    merged = OmegaConf.merge(stored, given)
    assert isinstance(merged, DictConfig)
    return merged
