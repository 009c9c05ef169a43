"""How a command starts: read its command line, find its files, then import and run its task."""

import logging
import os
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fpainter.data.finding import find_images
from fpainter.errors import UserError, first_line
from fpainter.launch.allocator import keep_freed_memory
from fpainter.launch.auto_experiment import with_settings
from fpainter.launch.auto_size import with_image_size
from fpainter.launch.configs import CONFIG_DIR, options_of, what_is_wrong
from fpainter.launch.continuation import locate_checkpoint
from fpainter.launch.free_cores import FreeCores
from fpainter.launch.messages import explained, sentences
from fpainter.launch.resolvers import register
from fpainter.launch.settings import entries, in_sweep
from fpainter.paths import existing, is_hub_name

log = logging.getLogger(__name__)

NO_DASHES = "settings are given as key=value, without dashes, such as batch_size=8"


def launch(config_name: str, task: str) -> None:
    """Compose the config and run the task; end with one readable message if that fails.

    Args:
        config_name: a file in ``configs/``.
        task: ``module:function`` that takes the composed config; imported when it is composed.
    """

    def run(cfg: DictConfig) -> Any:
        keep_freed_memory()
        register()  # here, too, for jobs that a launcher starts in processes of their own
        # Only a UserError lets `RefusedRun` end the program before Hydra adds lines of its own.
        with explained():
            for line in notes:
                log.info(line)
            cores.use()
            name_runs(cfg)
            find_inputs(cfg)
            if "torch" not in sys.modules:
                log.info("starting")  # libraries take seconds to load, from a slow disk a minute
            return pkgutil.resolve_name(task)(cfg)

    notes: list[str] = []
    cores = FreeCores()
    # Hydra would print its own summary of an error and hide the cause; we want the exception.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    start = hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=config_name)
    register()
    with sentences():
        check_dashes(sys.argv[1:])
        check_choices(sys.argv[1:])
        sys.argv[1:], notes = with_settings(config_name, sys.argv[1:])
        sys.argv[1:], note = with_image_size(config_name, sys.argv[1:])
        notes += [note] if note else []
        try:
            start(run)()
        except SystemExit as error:
            if error.code == 2:  # argparse's, which shows Hydra's own options
                raise UserError(NO_DASHES) from error
            raise
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(what_is_wrong(config_name, sys.argv[1:], error)) from error
        except BrokenExecutor as error:
            raise UserError(
                "a job was killed; start the sweep again with its hydra.sweep.dir=DIR "
                f"({first_line(error)})"
            ) from error


def check_dashes(arguments: Sequence[str]) -> None:
    """Refuse a setting with dashes, which argparse may take for the short form of an option.

    Raises:
        UserError: at the first.
    """
    options = get_args_parser()._option_string_actions
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name.startswith("--") and name not in options:
            setting = f"{name.lstrip('-')}{equals}{value}"
            raise UserError(f"{argument}: {NO_DASHES}" + (f"; {setting}" if equals else ""))


def check_choices(arguments: Sequence[str]) -> None:
    """Refuse null for a group of configs, which Hydra answers with a traceback.

    Raises:
        UserError: at the first; with the group's options.
    """
    for argument in arguments:
        group, _, value = argument.lstrip("+").partition("=")
        options = options_of(group) if value == "null" else []
        if options:
            own = [option for option in options if "/" not in option] or options
            key = group.replace("/", ".")
            others = f"; {key}=null leaves {key} out" if key != group else ""
            raise UserError(f"{argument}: choose one of its options: {', '.join(own)}{others}")


def name_runs(cfg: DictConfig) -> None:
    """Let ``last`` and ``best`` stand for such a checkpoint of the newest run that has one.

    Args:
        cfg: of any command; its ``ckpt`` and ``compare`` are changed in place.

    Raises:
        UserError: if no run has one.
    """
    for key in ("ckpt", "compare"):
        value = OmegaConf.select(cfg, key)
        if OmegaConf.is_list(value):
            cfg[key] = [_checkpoint_of_a_run(each, key) for each in value]
        elif value is not None:
            cfg[key] = _checkpoint_of_a_run(value, key)


def _checkpoint_of_a_run(wanted: Any, key: str) -> Any:
    if wanted not in ("last", "best"):
        return wanted
    path = locate_checkpoint(wanted, key=key)
    path = path if path.is_file() else path.with_name("previous.ckpt")
    log.info("%s=%s", key, path)
    return str(path)


def find_inputs(cfg: DictConfig) -> None:
    """Refuse a config that names a file or folder which is not there, before slow imports.

    Args:
        cfg: of any command.

    Raises:
        UserError: if there is no such file or folder; with what to do about it.
    """
    for key in ("ckpt", "compare", "images", "import", "latents", "image", "source"):
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


def read_options(
    keys: Mapping[str, str],
    required: tuple[str, ...],
    about: str | None,
    settings: tuple[str, ...] = (),
) -> dict[str, str]:
    """Read the command line of a command without a config; with ``--help`` explain it and end.

    Args:
        keys: what each key means.
        required: keys that must be given.
        about: what the command does, for ``--help``.
        settings: how other keys may begin.

    Returns:
        What is given as key=value.

    Raises:
        UserError: if a key is unknown, has no value, or is missing.
    """
    if {"-h", "--help"} & {*sys.argv[1:]}:
        meanings = "\n".join(f"  {key:<11} {meaning}" for key, meaning in keys.items())
        print(f"{about}\n\nKeys, given as key=value:\n{meanings}")
        raise SystemExit(0)
    options, known = {}, ", ".join(f"{key}=" for key in keys)
    for argument in sys.argv[1:]:
        key, _, value = argument.partition("=")
        if not key.startswith(settings) and (key not in keys or not value):
            raise UserError(f"{argument}: must be one of these keys, with a value: {known}")
        options[key] = value
    for key in required:
        if key not in options:
            raise UserError(f"{key}= is missing; the keys are {known}")
    return options
