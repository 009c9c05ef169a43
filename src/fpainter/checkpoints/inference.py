"""Reading a painter back from a training checkpoint, without running any code stored in it."""

import inspect
import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import hydra
import torch
from omegaconf import DictConfig, OmegaConf

from fpainter.checkpoints.plain_data import read_plain_data
from fpainter.checkpoints.pretrained import TrainedPainter, load_pretrained
from fpainter.checkpoints.record import FORMAT, with_current_names
from fpainter.errors import UserError, existing, first_line
from fpainter.generators.pretrained import read_config
from fpainter.generators.sampler import Sampler
from fpainter.nn.image_range import ImageRange
from fpainter.nn.sizes import first_misfit

WEIGHTS = {"ema": "generator_ema.", "raw": "generator."}
TRUSTED = ("fpainter.", "torch.nn.", "torch.optim.")


def read_checkpoint(path: str | Path, key: str = "ckpt") -> dict[str, Any]:
    """Read a checkpoint as plain data and tensors on the CPU.

    Args:
        path: written by training.
        key: what asked for it, for messages.

    Returns:
        The checkpoint; tensors are mapped from the file where possible.

    Raises:
        UserError: if there is no such file, or it is not one of our checkpoints.
    """
    path = existing(path, key)
    checkpoint = read_plain_data(path, key)
    record = checkpoint.get("fpainter") if isinstance(checkpoint, dict) else None
    if record is None:
        raise UserError(f"{key}={path}: not written by fpainter.train")
    if not isinstance(record, dict) or not isinstance(record.get("format"), int):
        raise UserError(f"{key}={path}: its record of the run is damaged")
    if record["format"] > FORMAT:
        raise UserError(
            f"{key}={path}: of format {record['format']} (fpainter {record.get('version')}), newer "
            f"than the format {FORMAT} that this version reads; please update fpainter"
        )
    record["config"] = with_current_names(record.get("config"))
    return checkpoint


def whole_checkpoint(path: Path) -> Path:
    """Return the file, or the one saved before it if it is a last checkpoint that is damaged."""
    previous = path.with_name("previous.ckpt")
    if path.name != "last.ckpt" or not previous.is_file():
        return path
    try:
        read_checkpoint(path)
    except UserError as error:
        print(f"fpainter: {error}; going on from {previous}", file=sys.stderr)
        return previous
    return path


def load_painter(
    path: str | Path,
    weights: str = "ema",
    device: torch.device | str = "cpu",
    key: str = "ckpt",
) -> TrainedPainter:
    """Rebuild a generator from its checkpoint alone.

    Args:
        path: written by training, or a folder by ``fpainter.export``.
        weights: ``ema`` for the running average, ``raw`` for the generator itself.
        device: where to put it.
        key: what asked for it, for messages.

    Returns:
        The generator in evaluation mode, with the run's config.

    Raises:
        UserError: if the file cannot be used or `weights` is unknown.
    """
    if weights not in WEIGHTS:
        raise UserError(f"weights={weights}: must be one of {', '.join(WEIGHTS)}")
    if Path(path).expanduser().is_dir():
        painter = load_pretrained(path, device)
        if painter.weights != weights:
            raise UserError(f"{key}={path}: holds only the weights={painter.weights}")
        return painter
    checkpoint = read_checkpoint(path, key)
    try:
        return _rebuild(checkpoint, weights, device, Path(path), f"{key}={path}")
    except UserError:
        raise
    except Exception as error:  # a record that was changed by hand leads to errors of any type
        reason = first_line(error)
        raise UserError(f"{key}={path}: its record of the run is damaged ({reason})") from error


def _rebuild(
    checkpoint: dict[str, Any], weights: str, device: torch.device | str, path: Path, where: str
) -> TrainedPainter:
    config = OmegaConf.create(checkpoint["fpainter"]["config"])
    assert isinstance(config, DictConfig)
    prefix = WEIGHTS[weights]
    state = {
        name.removeprefix(prefix): tensor
        for name, tensor in checkpoint["state_dict"].items()
        if name.startswith(prefix)
    }
    with torch.device("meta"):  # no memory, however large the numbers in the config
        plan = instantiate_trusted(config.model.generator, where).state_dict()
    name = first_misfit(plan, state)
    if name is not None:
        raise UserError(f"{where}: weights do not fit its config: {name} is missing or differs")
    generator = instantiate_trusted(config.model.generator, where)
    generator.load_state_dict(state)
    generator.to(device).eval().requires_grad_(False)
    sampler = Sampler(generator, ImageRange(config.model.image_range))
    return TrainedPainter(sampler, config, checkpoint["iteration"], weights, path)


def exported_state(folder: Path, weights: str) -> dict[str, Any]:
    """Read an exported painter as what a warm start needs of a checkpoint.

    Args:
        folder: written by ``fpainter.export``.
        weights: ``ema`` or ``raw``, which must be those that were exported.

    Returns:
        ``state_dict``, of the generator alone, and ``iteration``.

    Raises:
        UserError: if the folder cannot be used.
    """
    painter = load_pretrained(folder)
    if painter.weights != weights:
        raise UserError(
            f"warm_start.ckpt={folder}: holds only the weights={painter.weights}; "
            f"give warm_start.weights={painter.weights}"
        )
    state = painter.sampler.generator.state_dict()
    named = {WEIGHTS[weights] + name: tensor for name, tensor in state.items()}
    return {"state_dict": named, "iteration": painter.iteration}


def exported_overrides(folder: Path, chosen: Collection[str] = ()) -> list[str]:
    """Return the overrides that let a run build the same generator as an exported one.

    Args:
        folder: written by ``fpainter.export``.
        chosen: the generator's settings that shall not be as they were.

    Raises:
        UserError: if the folder cannot be used.
    """
    config = read_config(folder)["config"]
    generator = dict(config["model"]["generator"])
    target = generator.pop("_target_")
    settings = {
        "image_size": config["image_size"],
        "data.channels": config["data"]["channels"],
        "model.image_range": config["model"]["image_range"],
    } | {f"model.generator.{name}": v for name, v in generator.items() if name not in chosen}
    overrides = ["model=base"] if target.endswith(".LightGANGenerator") else []
    for key, value in settings.items():
        if isinstance(value, dict):  # or it would be mixed with what is there
            overrides.append(f"{key}=null")
            key = f"++{key}"
        overrides.append(f"{key}={_in_hydras_grammar(value)}")
    return overrides


def _in_hydras_grammar(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{','.join(f'{k}:{_in_hydras_grammar(v)}' for k, v in value.items())}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_in_hydras_grammar, value))}]"
    return json.dumps(value)


def instantiate_trusted(config: DictConfig, where: str) -> Any:
    """Instantiate a config that came from a file and not from the user.

    Args:
        config: with ``_target_`` entries.
        where: the file, for the message.

    Raises:
        UserError: if it names a class outside fpainter and torch's layers and optimisers.
    """
    for target in _targets(OmegaConf.to_container(config, resolve=True)):
        if not _is_trusted(target):
            raise UserError(f"{where}: refuses to build {target!r}, which its config asks for")
    return hydra.utils.instantiate(config)


def _is_trusted(target: str) -> bool:
    """Say whether a dotted name is a class of ours or torch's, or such a class's constructor.

    The name alone does not tell: it may reach anything that one of our modules has imported.
    """
    if not target.startswith(TRUSTED):
        return False
    try:
        found = hydra.utils.get_object(target)
    except Exception:  # whatever a made-up name leads to
        return False
    owner = found.__self__ if inspect.ismethod(found) else found
    return inspect.isclass(owner) and f"{owner.__module__}.".startswith(TRUSTED)


def _targets(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [str(node["_target_"])] if "_target_" in node else []
        return own + [target for value in node.values() for target in _targets(value)]
    if isinstance(node, list):
        return [target for value in node for target in _targets(value)]
    return []
