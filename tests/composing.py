"""Configs composed of what has been composed before.

For each config Hydra reads some forty files and merges them one by one, which takes a tenth of a
second, and the tests compose a thousand. Here files are kept as they were read, and so is what the
choices of groups add up to; what a command line says of single keys is applied as ever.
"""

import pickle
from collections.abc import Callable, Hashable
from copy import copy
from dataclasses import replace
from typing import Any

from hydra._internal import config_loader_impl, defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import (
    CachingConfigRepository,
    ConfigRepository,
    IConfigRepository,
)
from hydra._internal.defaults_list import DefaultsList, Overrides
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf

from fpainter.launch.configs import CONFIG_DIR

UNCHANGING = {"hydra.conf", str(CONFIG_DIR), ""}  # Hydra's own, ours, and those in code

load, merge = ConfigRepository.load_config, ConfigLoaderImpl._compose_config_from_defaults_list
list_defaults = defaults_list.create_defaults_list
interpolations, nothing = defaults_list._create_interpolation_map, OmegaConf.create()
kept: dict[Hashable, bytes] = {}


def remembered(repo: IConfigRepository, make: Callable[[], Any], *key: Hashable) -> Any:
    """Return a copy of what was made for a key, if all configs come from unchanging places."""
    if not UNCHANGING.issuperset(source.path for source in repo.get_sources()):
        return make()
    if key not in kept:
        kept[key] = pickle.dumps(make())
    return pickle.loads(kept[key])


def load_config(repo: ConfigRepository, config_path: str) -> ConfigResult | None:
    return remembered(repo, lambda: load(repo, config_path), config_path)


def compose_config(
    loader: ConfigLoaderImpl, defaults: list[ResultDefault], repo: IConfigRepository
) -> DictConfig:
    return remembered(repo, lambda: merge(loader, defaults, repo), "merged", *map(repr, defaults))


def create_defaults_list(
    repo: IConfigRepository, config_name: str | None, overrides_list: list[Override],
    prepend_hydra: bool, skip_missing: bool,
) -> DefaultsList:  # fmt: skip
    of_keys = Overrides(repo, overrides_list).config_overrides
    choices = [override for override in overrides_list if override not in of_keys]
    listed = remembered(
        repo,
        lambda: list_defaults(repo, config_name, choices, prepend_hydra, skip_missing),
        "listed", config_name, prepend_hydra, skip_missing, *(c.input_line for c in choices),
    )  # fmt: skip
    return replace(listed, config_overrides=of_keys)


def begin(repo: CachingConfigRepository, delegate: IConfigRepository) -> None:
    repo.delegate = copy(delegate)  # of which another list of sources may be set, and no more
    repo.cache = {}


def interpolations_if_any(choices: Any, defaults: list[Any], self_added: bool) -> DictConfig:
    read = any(default.is_interpolation() for default in defaults)
    return interpolations(choices, defaults, self_added) if read else nothing


OURS: list[tuple[Any, str, Callable[..., Any]]] = [
    (ConfigRepository, "load_config", load_config),
    (CachingConfigRepository, "__init__", begin),
    (ConfigLoaderImpl, "_compose_config_from_defaults_list", compose_config),
    (config_loader_impl, "create_defaults_list", create_defaults_list),
    (defaults_list, "_create_interpolation_map", interpolations_if_any),
]
HYDRAS = [(place, name, getattr(place, name)) for place, name, _ in OURS]


def remember() -> None:
    """Compose so from now on."""
    for place, name, function in OURS:
        setattr(place, name, function)
