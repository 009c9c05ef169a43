"""How a command starts: compose its config, find its files, then import and run its task."""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from typing import Any

import hydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from fpainter.errors import UserError, first_line
from fpainter.launch.allocator import keep_freed_memory
from fpainter.launch.configs import CONFIG_DIR, missing_option, with_nearest_keys
from fpainter.launch.inputs import find_inputs
from fpainter.launch.messages import explain, sentences


def launch(config_name: str, task: str, arguments: Sequence[str] | None = None) -> None:
    """Compose the config and run the task; end with one readable message if that fails.

    Args:
        config_name: a file in ``configs/``.
        task: dotted name of what to do with the composed config; imported when it is composed.
        arguments: Hydra's command line, without the program; None for that of this process.
    """
    # Hydra would print its own summary of an error and hide the cause; we want the exception.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    sys.argv = [sys.argv[0], *arguments]
    start = hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=config_name)
    with sentences():
        try:
            start(_explained(task))()
        except SystemExit as error:
            if error.code == 2:  # argparse's, which shows Hydra's own options
                advice = "settings are given as key=value, without dashes, such as batch_size=8"
                raise UserError(advice) from error
            raise
        except MissingConfigException as error:
            raise UserError(missing_option(config_name, arguments, error)) from error
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(with_nearest_keys(config_name, arguments, error)) from error
        except BrokenExecutor as error:
            raise UserError(
                "a job was killed; start the sweep again with its hydra.sweep.dir=DIR "
                f"({first_line(error)})"
            ) from error


def _explained(task: str) -> Callable[[DictConfig], Any]:
    """Return what Hydra runs: the task, its errors turned into `UserError` where the user can help.

    Only a `UserError` lets `RefusedRun` end the program before Hydra adds lines of its own.
    """

    def explained(cfg: DictConfig) -> Any:
        keep_freed_memory()
        module, _, name = task.rpartition(".")
        try:
            find_inputs(cfg)
            return getattr(importlib.import_module(module), name)(cfg)
        except Exception as error:
            message = explain(error)
            if message is None:
                raise
            raise UserError(message) from error

    return explained
