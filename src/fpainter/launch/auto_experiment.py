"""``experiment=auto``: data and machine decide on the settings, before the config is composed."""

from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from fpainter.former import with_current_overrides
from fpainter.launch.auto_size import AUTO as AUTO_SIZE
from fpainter.launch.auto_size import looking_config, parsed, source_of

AUTO = "experiment=auto"


def with_settings(config_name: str, arguments: list[str]) -> tuple[list[str], list[str]]:
    """Put plain settings in the place of ``experiment=auto``, for a run to store and repeat.

    Args:
        config_name: a file in ``configs/``.
        arguments: the command line's overrides and flags; what they set is not chosen.

    Returns:
        The same, completed, and lines for the log: each choice with its reason. Unchanged without
        ``auto``, or if Hydra will refuse the command line.

    Raises:
        UserError: if there are no data to look at, or other settings do not go with it.
    """
    if AUTO not in arguments:
        return arguments, []
    # There is no log yet, and libraries take seconds to load, from a slow disk a minute.
    print(f"{AUTO}: looking at the images and the machine", flush=True)
    arguments = [each for each in arguments if each != AUTO_SIZE]  # the same, and more
    cfg = looking_config(AUTO, config_name, arguments)
    if cfg is None:
        return arguments, []
    given = parsed([each for each in arguments if each != AUTO])
    earlier = _earlier_start(cfg)
    if earlier is not None:
        known = {"ckpt", *(each.key_or_group for each in given)}
        stored = [each for each in earlier if each.partition("=")[0].lstrip("+~") not in known]
        return _replaced(arguments, stored), [f"{AUTO}: as in the run that goes on"]
    from fpainter.data.looks import looks_of
    from fpainter.launch.chosen_settings import Settings
    from fpainter.launch.machine import machine

    source = source_of(cfg, AUTO)
    looks = None if _is_stream(cfg) else looks_of(source)
    here = machine(cfg.trainer.accelerator)
    own = {key: OmegaConf.select(cfg, key) for key in _given_keys(given, cfg)}
    if not cfg.fid.enabled:
        own |= {f"fid.{key}": value for key, value in cfg.fid.items()}
    choices = sorted(Settings(looks, here, own).choices, key=lambda c: c.key != "experiment")
    seen = f"{len(source):,} images of" if looks else "the stream"
    notes = [f"{AUTO} for {seen} {source.name} and {here}; what you give yourself stays:"]
    notes += [f"  {choice}: {choice.reason}" for choice in choices]
    return _replaced(arguments, [str(choice) for choice in choices]), notes


def _replaced(arguments: list[str], overrides: list[str]) -> list[str]:
    place = arguments.index(AUTO)
    return [*arguments[:place], *overrides, *arguments[place + 1 :]]


def _earlier_start(cfg: DictConfig) -> list[str] | None:
    """Return the overrides of the run that ``auto_resume`` goes on with, if there is one."""
    path = Path(cfg.hydra.run.dir) / "overrides.yaml"
    if not cfg.auto_resume or not path.is_file():
        return None
    return with_current_overrides([str(each) for each in OmegaConf.load(path)])


def _is_stream(cfg: DictConfig) -> bool:
    return ".streaming." in cfg.data._target_


def _given_keys(given: list[Override], cfg: DictConfig) -> set[str]:
    """Return the keys that the command line sets, also by setting a whole section."""
    keys: set[str] = set()
    for override in given:
        value: Any = OmegaConf.select(cfg, override.key_or_group)
        below = OmegaConf.is_dict(value) and "." in override.key_or_group
        keys |= {f"{override.key_or_group}.{name}" for name in value} if below else set()
        keys.add(override.key_or_group)
    return keys
