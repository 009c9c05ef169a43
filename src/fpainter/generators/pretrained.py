"""What ``fpainter.export`` wrote, read back from a folder or from the Hugging Face hub.

Only plain data and tensors are read, and only our generators' classes and torch's layers are built.
"""

import importlib
import inspect
import json
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fpainter.errors import UserError, first_line

FORMAT = 1  # of the folder
CONFIG, WEIGHTS = "config.json", "model.safetensors"
TRUSTED = ("fpainter.generators.", "torch.nn.")


def import_hub() -> Any:
    """Return the module ``huggingface_hub``.

    Raises:
        UserError: if it is not installed.
    """
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        advice = "pip install 'fpainter[hub]'"
        raise UserError(f"the Hugging Face hub needs huggingface_hub: {advice}") from error


def locate(path: str | Path) -> Path:
    """Return the folder of an exported generator, fetched from the hub if need be.

    Args:
        path: a folder; where there is none, ``owner/name`` on the Hugging Face hub.

    Raises:
        UserError: if there is neither.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", str(path)):
        raise UserError(f"{path}: there is no such folder")
    try:
        return Path(import_hub().snapshot_download(str(path), allow_patterns=[CONFIG, WEIGHTS]))
    except Exception as error:  # whatever the network or the hub answers
        raise UserError(f"{path}: no such folder, nor on the hub ({first_line(error)})") from error


def read_config(folder: Path) -> dict[str, Any]:
    """Read what an exported generator is.

    Args:
        folder: from `locate`.

    Returns:
        ``format``, ``fpainter`` (version), ``iteration``, ``weights``, ``best_fid`` and the part
        of the run's ``config`` that its images depend on.

    Raises:
        UserError: if the folder is not one of ours.
    """
    path = folder / CONFIG
    if not path.is_file():
        if (folder / "checkpoints").is_dir():
            raise UserError(f"{folder}: is a run directory; give {folder}/checkpoints/last.ckpt")
        raise UserError(f"{folder}: not written by fpainter.export: it has no {CONFIG}")
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a readable JSON file ({error})") from error
    if not isinstance(description, dict) or "fpainter" not in description:
        raise UserError(f"{path}: not written by fpainter.export")
    if not isinstance(description.get("format"), int) or not _is_whole(description):
        raise UserError(f"{path}: does not say all that fpainter.export writes there")
    if description["format"] > FORMAT:
        raise UserError(
            f"{path}: of format {description['format']} (fpainter {description['fpainter']}), "
            f"newer than the format {FORMAT} that this version reads; please update fpainter"
        )
    return description


def _is_whole(description: dict[str, Any]) -> bool:
    config = description.get("config")
    model = config.get("model") if isinstance(config, dict) else None
    return (
        isinstance(model, dict)
        and {"generator", "image_range"} <= model.keys()
        and {"iteration", "weights"} <= description.keys()
    )


def build(config: Any, where: Path) -> Any:
    """Build the objects that plain data describes by ``_target_``, innermost first.

    Args:
        config: numbers, strings, lists and dicts.
        where: the folder, for messages.

    Raises:
        UserError: if it names anything but our generators' classes and torch's layers, or one of
            them refuses its arguments.
    """
    if isinstance(config, list):
        return [build(entry, where) for entry in config]
    if not isinstance(config, dict):
        return config
    arguments = {key: build(value, where) for key, value in config.items() if key != "_target_"}
    if "_target_" not in config:
        return arguments
    target = str(config["_target_"])
    trusted = _trusted_class(target)
    if trusted is None:
        raise UserError(f"{where}: refuses to build {target!r:.200}, which its {CONFIG} asks for")
    try:
        return trusted(**arguments)
    except Exception as error:  # whatever numbers of any size and sign lead to
        raise UserError(f"{where}: cannot build {target}: {str(error)[:300]}") from error


def _trusted_class(target: str) -> type | None:
    """Find a class by its dotted name; None for what is no class of ours or torch's.

    The name alone does not tell: it may reach anything that one of our modules has imported.
    """
    module, _, name = target.rpartition(".")
    if not target.startswith(TRUSTED):
        return None
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None
    if inspect.isclass(found) and f"{found.__module__}.".startswith(TRUSTED):
        return found
    return None


def read_weights(module: nn.Module, folder: Path) -> dict[str, Tensor]:
    """Read all tensors of an exported generator.

    Args:
        module: built from the folder's description, perhaps without memory.
        folder: from `locate`.

    Returns:
        What fits the module: its state.

    Raises:
        UserError: if the file cannot be read, or a tensor is missing, unexpected or of another
            shape; the first one is named.
    """
    path = folder / WEIGHTS
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error})") from error
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    for name in expected | found:
        if expected.get(name) != found.get(name):
            raise UserError(
                f"{path}: {name} is {found.get(name, 'missing')}; "
                f"{CONFIG} asks for {expected.get(name, 'no such tensor')}"
            )
    return state
