"""What the entry points share: finding the configs, starting Hydra, saying what went wrong."""

import difflib
import errno
import importlib
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import hydra
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException, MissingConfigException
from hydra.types import RunMode
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from fpainter.errors import UserError, first_line
from fpainter.launch.allocator import keep_freed_memory

_HERE = Path(__file__).resolve().parents[1]
# What constructors raise when they are given something they cannot use.
EXPLAINED = (UserError, ValueError, TypeError, ModuleNotFoundError, MisconfigurationException)
# What a computer refuses to a program that is right; any other OSError is a mistake of ours.
REFUSALS = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE,
    errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
    errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE,
)  # fmt: skip
# The extras that hold Hydra's launchers and sweepers, by how their options begin.
PLUGINS = {"joblib": "sweep", "optuna": "sweep", "tpe": "sweep", "submitit": "slurm"}
# Inside a wheel the configs lie in the package; in a checkout they lie at its top.
CONFIG_DIR = next(
    (path for path in (_HERE / "configs", _HERE.parents[1] / "configs") if path.is_dir()),
    _HERE / "configs",
)


def launch(config_name: str, task: str, arguments: list[str]) -> None:
    """Compose the config and run the task; end with one readable message if that fails.

    Args:
        config_name: a file in ``configs/``.
        task: dotted name of what to do with the composed config; imported when it is composed.
        arguments: Hydra's command line, without the program.
    """
    # Hydra would print its own summary of an error and hide the cause; we want the exception.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = [sys.argv[0], *arguments]
    start = hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=config_name)
    try:
        start(_explained(task))()
    except SystemExit as error:
        if error.code == 2:  # argparse's, which shows Hydra's own options
            _fail("settings are given as key=value, without dashes, such as batch_size=8")
        raise
    except MissingConfigException as error:
        _fail(_missing_option(error))
    except UserError as error:  # of a job of a sweep
        _fail(str(error))
    except KeyboardInterrupt:
        print("fpainter: stopped by Ctrl-C", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    except (HydraException, OmegaConfBaseException) as error:
        _fail(_with_nearest(config_name, arguments, str(error)))
    except Exception as error:
        message = _of_a_plugin(error) or _of_the_machine(error)
        if message is None:
            raise
        _fail(message)


def _of_a_plugin(error: Exception) -> str | None:
    """Say what launchers and sweepers mean when jobs have not ended as they should."""
    first = (str(error).splitlines() or [""])[0]
    if isinstance(error, BrokenExecutor) or type(error).__module__.startswith("submitit."):
        return f"a job was killed; start the sweep again with its hydra.sweep.dir=DIR ({first})"
    if first == "No trials are completed yet.":  # Optuna's
        return "no job of the sweep has a score; what is wrong with them stands above"
    return None


def _of_the_machine(error: BaseException | None) -> str | None:
    """Say what disks, memory and other processes refuse; None for an error of another kind."""
    if isinstance(error, OSError) and error.errno in REFUSALS:
        where = error.filename or _output_dir()
        # A file of the package that is not there is a mistake of ours.
        if where is not None and not Path(os.fsdecode(where)).is_relative_to(_HERE):
            return f"{os.fsdecode(where)}: {error.strerror}"
    if error is None:
        return None
    text = first_line(error)
    # On the CPU torch raises a plain RuntimeError.
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "t allocate memory" in text:
        return (
            f"out of memory ({text}); a smaller batch_size takes less, "
            "and for training a larger model.accumulate or a smaller image_size"
        )
    if "gloo/transport" in text or type(error).__module__ == "torch.distributed":
        reason = text.rpartition("] ")[2].partition(". ")[0]
        return f"another process of this run was killed or has failed ({reason})"
    return None


def _output_dir() -> str | None:
    """Return where the job writes; None outside of one."""
    return HydraConfig.get().runtime.output_dir if HydraConfig.initialized() else None


def _explained(task: str) -> Callable[[DictConfig], Any]:
    """Let a task end with a sentence where the user can mend what is wrong.

    Caught inside the job, because Hydra adds lines of its own to what leaves it.
    """

    def explained(cfg: DictConfig) -> Any:
        keep_freed_memory()
        module, _, name = task.rpartition(".")
        try:
            return getattr(importlib.import_module(module), name)(cfg)
        except InstantiationException as error:
            message = _of_the_machine(error.__cause__)
            if message is None and isinstance(error.__cause__, EXPLAINED):
                message = f"{error.__cause__}{_full_key(error)}"
            if message is None:
                raise
            return _end_job(message, error)
        except MissingMandatoryValue as error:
            return _end_job(f"give {error.full_key}=...", error)
        except (UserError, MisconfigurationException, OmegaConfBaseException) as error:
            return _end_job(str(error), error)
        except Exception as error:
            message = _of_the_machine(error)
            if message is None:
                raise
            return _end_job(message, error)

    return explained


def _end_job(message: str, error: Exception) -> NoReturn:
    """End the program with a sentence; a sweep goes on with its other jobs first."""
    if in_sweep():
        raise UserError(message) from error
    _fail(message)


def in_sweep() -> bool:
    """Say whether what runs now is a job of a sweep."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


def _fail(message: str) -> NoReturn:
    print(f"fpainter: {message}", file=sys.stderr)
    raise SystemExit(1)


def _full_key(error: InstantiationException) -> str:
    found = re.search(r"full_key: (\S+)", str(error))
    return f" (in {found[1]})" if found else ""


def _missing_option(error: MissingConfigException) -> str:
    """Name the options of the group in which one was not found, the nearest first."""
    group, _, wanted = str(error.missing_cfg_file).removesuffix(".yaml").rpartition("/")
    for plugin, extra in PLUGINS.items():
        if group.startswith("hydra/") and wanted.startswith(plugin):
            return f"{group}={wanted} needs a plugin: pip install 'fpainter[{extra}]'"
    found = sorted(path.stem for path in (CONFIG_DIR / group).glob("[!_]*.yaml"))
    options = found or [name for name in error.options or [] if not name.startswith("_")]
    if not options:
        return str(error).split("Config search path", 1)[0].strip()
    nearest = difflib.get_close_matches(wanted, options, n=3, cutoff=0.5)
    hint = f" Nearest: {', '.join(nearest)}." if nearest else ""
    return f"{group}={wanted}: there is no such option.{hint}\nOptions: {', '.join(options)}"


def _with_nearest(config_name: str, arguments: list[str], message: str) -> str:
    """Add the nearest keys to Hydra's message about a key or an option that does not exist."""
    mistyped = re.search(r"Could not (?:override|append to config.*) '([^'@=]+)", message)
    if not mistyped:
        return message
    key = mistyped[1]
    # The choices of groups decide which keys there are, so keep as many as still compose.
    kept = [a for a in arguments if not a.lstrip("+~").startswith(key) and not a.startswith("-")]
    keys = _keys(config_name, kept) or _keys(config_name, [])
    nearest = difflib.get_close_matches(key, keys, n=3, cutoff=0.5)
    leaf = key.rpartition(".")[2]
    same_leaf = difflib.get_close_matches(leaf, {k.rpartition(".")[2] for k in keys}, 1, 0.7)
    nearest += [k for k in keys if k.rpartition(".")[2] in same_leaf and k not in nearest][:3]
    hint = f"\nNearest keys: {', '.join(nearest)}" if nearest else ""
    return f"{message.splitlines()[0]} There is no such key.{hint}"


def _keys(config_name: str, overrides: list[str]) -> list[str]:
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            config = hydra.compose(config_name, overrides)
    except (HydraException, OmegaConfBaseException):
        return []
    groups = [f"{p.relative_to(CONFIG_DIR)}" for p in CONFIG_DIR.rglob("*") if p.is_dir()]
    return sorted({*_flat(OmegaConf.to_container(config, resolve=False)), *groups})


def _flat(node: Any, prefix: str = "") -> Iterable[str]:
    for key, value in node.items() if isinstance(node, dict) else ():
        yield prefix + str(key)
        yield from _flat(value, f"{prefix}{key}.")


@contextmanager
def sentences() -> Iterator[None]:
    """End the program with the sentence of a UserError."""
    try:
        yield
    except UserError as error:
        _fail(str(error))


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


def pick_device(name: str) -> torch.device:
    """Return the device called `name`; ``auto`` is a GPU when there is one.

    Raises:
        UserError: if torch knows no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise UserError(f"device={name}: {first_line(error)}") from error


def processes() -> tuple[int, int]:
    """Return this process's rank and the number of processes that torchrun started together.

    Joins them into a group, over which metrics sum what each has seen.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size > 1 and not torch.distributed.is_initialized():
        backend = "gloo"
        if torch.cuda.is_available():
            backend = "cpu:gloo,cuda:nccl"
            # From here on "cuda" is this process's own device.
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        torch.distributed.init_process_group(backend)
    return int(os.environ.get("RANK", "0")), world_size


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
