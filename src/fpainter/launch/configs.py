"""The configs, and what in them is nearest to what was mistyped."""

import difflib
import re
from collections.abc import Iterable, Sequence
from heapq import nlargest
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fpainter.errors import first_line

_PACKAGE = Path(__file__).resolve().parents[1]
# Inside a wheel the configs lie in the package; in a checkout they lie at its top.
CONFIG_DIR = next(
    (path for path in (_PACKAGE / "configs", _PACKAGE.parents[1] / "configs") if path.is_dir()),
    _PACKAGE / "configs",
)
# The extras that hold Hydra's launchers and sweepers, by how their options begin.
PLUGINS = {"joblib": "sweep", "optuna": "sweep", "tpe": "sweep", "submitit": "slurm"}


def what_is_wrong(config_name: str, arguments: Sequence[str], error: Exception) -> str:
    """Return Hydra's message about a command line, with what is nearest to what was mistyped."""
    if isinstance(error, MissingConfigException):
        return _missing_option(config_name, arguments, error)
    recipe = re.search(r"In '([^']+)': Could not override '([^'@=]+)'", str(error))
    if recipe:
        return (
            f"{recipe[1].replace('/', '=', 1)} chooses {recipe[2]}, which the model that is given "
            "does not have; experiment=small_any is a recipe for any model"
        )
    mistyped = re.search(r"Could not (?:override|append to config.*) '([^'@=]+)", str(error))
    return _missing_key(config_name, arguments, mistyped[1], error) if mistyped else str(error)


def _missing_option(
    config_name: str, arguments: Sequence[str], error: MissingConfigException
) -> str:
    """Name the options of the group in which one was not found, the nearest first."""
    missing = str(error.missing_cfg_file).removesuffix(".yaml")
    groups = {argument.lstrip("+").partition("=")[0] for argument in arguments}
    groups |= composed(config_name, []).hydra.runtime.choices.keys()
    # An option can lie in a folder of its group, as experiment=paper/celeba does.
    around = [group for group in groups if missing.startswith(f"{group}/")]
    group = max(around, key=len, default=missing.rpartition("/")[0])
    wanted = missing.removeprefix(f"{group}/")
    for plugin, extra in PLUGINS.items():
        if group.startswith("hydra/") and wanted.startswith(plugin):
            return f"{group}={wanted} needs a plugin: pip install 'fpainter[{extra}]'"
    inner = tuple(f"{each}/" for each in groups if each.startswith(f"{group}/"))
    options = [name for name in options_of(group) if not f"{group}/{name}".startswith(inner)]
    options = options or [name for name in error.options or [] if not name.startswith("_")]
    if not options:
        return str(error).split("Config search path", 1)[0].strip()
    nearest = difflib.get_close_matches(wanted, options, n=3, cutoff=0.5)
    hint = f" Nearest: {', '.join(nearest)}." if nearest else ""
    return f"{group}={wanted}: there is no such option.{hint}\nOptions: {', '.join(options)}"


def options_of(group: str) -> list[str]:
    """Return the options of a group of configs, those in its folders, too; none if it is none."""
    found = (CONFIG_DIR / group).rglob("[!_]*.yaml") if group else ()
    return sorted(p.relative_to(CONFIG_DIR / group).with_suffix("").as_posix() for p in found)


def _missing_key(config_name: str, arguments: Sequence[str], key: str, error: Exception) -> str:
    """Name the keys nearest to one that does not exist."""
    # The choices of groups decide which keys there are, so keep as many as still compose.
    kept = [a for a in arguments if not a.lstrip("+~").startswith((key, "-"))]
    try:
        config = composed(config_name, kept)
    except (HydraException, OmegaConfBaseException):
        config = composed(config_name, [])
    section = OmegaConf.select(config, key)
    if isinstance(section, DictConfig):
        inner = ", ".join(f"{key}.{name!s}" for name in section)
        return f"{key} has no options to choose from in this command; set its keys: {inner}"
    groups = {str(p.relative_to(CONFIG_DIR)) for p in CONFIG_DIR.rglob("*") if p.is_dir()}
    keys = sorted(groups.union(_flat(OmegaConf.to_container(config, resolve=False))))
    of_hydra = key.startswith("hydra")
    likeness = {k: _likeness(key, k) for k in keys if k.startswith("hydra") == of_hydra}
    nearest = [k for k in nlargest(4, likeness, likeness.__getitem__) if likeness[k] > 1.1]
    hint = f"\nNearest keys: {', '.join(nearest)}" if nearest else ""
    return f"{first_line(error)} There is no such key.{hint}"


def _likeness(key: str, other: str) -> float:
    """Return from 0 to 2 how alike two keys are: as a whole, and in their last parts."""
    pairs = [(key, other), (key.rpartition(".")[2], other.rpartition(".")[2])]
    return sum(difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs)


def composed(config_name: str, overrides: list[str]) -> DictConfig:
    """Return the config of a command, with Hydra's own settings in it.

    Args:
        config_name: a file in ``configs/``.
        overrides: as on the command line.
    """
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return hydra.compose(config_name, overrides, return_hydra_config=True)


def _flat(node: Any, prefix: str = "") -> Iterable[str]:
    for key, value in node.items() if isinstance(node, dict) else ():
        yield prefix + str(key)
        yield from _flat(value, f"{prefix}{key}.")
