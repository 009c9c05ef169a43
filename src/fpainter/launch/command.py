"""How a command starts: read its command line, find its files, then import and run its task."""

import os
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor
from typing import Any

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from fpainter.errors import UserError, first_line
from fpainter.launch.allocator import keep_freed_memory
from fpainter.launch.configs import CONFIG_DIR, what_is_wrong
from fpainter.launch.inputs import find_inputs
from fpainter.launch.messages import explained, sentences


def launch(config_name: str, task: str) -> None:
    """Compose the config and run the task; end with one readable message if that fails.

    Args:
        config_name: a file in ``configs/``.
        task: ``module:function`` that takes the composed config; imported when it is composed.
    """

    def run(cfg: DictConfig) -> Any:
        keep_freed_memory()
        # Only a UserError lets `RefusedRun` end the program before Hydra adds lines of its own.
        with explained():
            find_inputs(cfg)
            return pkgutil.resolve_name(task)(cfg)

    # Hydra would print its own summary of an error and hide the cause; we want the exception.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    start = hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=config_name)
    with sentences():
        try:
            start(run)()
        except SystemExit as error:
            if error.code == 2:  # argparse's, which shows Hydra's own options
                advice = "settings are given as key=value, without dashes, such as batch_size=8"
                raise UserError(advice) from error
            raise
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(what_is_wrong(config_name, sys.argv[1:], error)) from error
        except BrokenExecutor as error:
            raise UserError(
                "a job was killed; start the sweep again with its hydra.sweep.dir=DIR "
                f"({first_line(error)})"
            ) from error


def read_options(
    arguments: Sequence[str], keys: Mapping[str, str], required: Sequence[str], about: str | None
) -> dict[str, str]:
    """Read the key=value pairs of a command without a config; with ``--help`` explain them and end.

    Args:
        arguments: the command line, without the program.
        keys: what each key means.
        required: keys that must be given.
        about: what the command does, for ``--help``.

    Raises:
        UserError: if a key is unknown, has no value, or is missing.
    """
    if {"-h", "--help"} & {*arguments}:
        meanings = "\n".join(f"  {key:<11} {meaning}" for key, meaning in keys.items())
        print(f"{about}\n\nKeys, given as key=value:\n{meanings}")
        raise SystemExit(0)
    options, known = {}, ", ".join(f"{key}=" for key in keys)
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key not in keys or not value:
            raise UserError(f"{argument}: must be one of these keys, with a value: {known}")
        options[key] = value
    for key in required:
        if key not in options:
            raise UserError(f"{key}= is missing; the keys are {known}")
    return options
