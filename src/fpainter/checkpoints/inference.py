"""Reading a painter back from a training checkpoint, without running any code stored in it."""

import math
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from fpainter.checkpoints.averages import StoredAverages
from fpainter.checkpoints.record import FORMAT, in_hydras_grammar
from fpainter.checkpoints.safe_load import safe_load
from fpainter.errors import UserError
from fpainter.former import with_current_names
from fpainter.generators.growing import grown_scales
from fpainter.generators.pretrained import CONFIG, load_pretrained, read_config
from fpainter.generators.trained import TrainedPainter, check_format, part, planned, rebuild
from fpainter.nn.sizes import as_size
from fpainter.paths import is_hub_name
from fpainter.training.post_hoc import power

WEIGHTS = {"ema": "generator_ema.", "raw": "generator."}  # how their names begin in a checkpoint


def read_checkpoint(path: str | Path, key: str = "ckpt") -> dict[str, Any]:
    """Read a checkpoint as plain data and tensors on the CPU.

    Args:
        path: written by training.
        key: what asked for it, for messages.

    Returns:
        The checkpoint; tensors are mapped from the file where possible.

    Raises:
        UserError: if there is no such file, it is not one of our checkpoints, or this version
            cannot use it.
    """
    checkpoint = safe_load(path, key)
    record = checkpoint.get("fpainter") if isinstance(checkpoint, dict) else None
    if not isinstance(record, dict) or not {"state_dict", "iteration"} <= checkpoint.keys():
        raise UserError(f"{key}={path}: not written by fpainter.train")
    check_format(record.get("format"), record.get("version"), FORMAT, f"{key}={path}")
    record["config"] = with_current_names(record.get("config"), f"{key}={path}")
    return checkpoint


def run_state(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return what `RunCheckpoints` knew: ``best_score``, how it was scored, and ``ended``.

    Args:
        checkpoint: from `read_checkpoint`; nothing is known of one that was imported.
    """
    state: dict[str, Any] = checkpoint.get("callbacks", {}).get("RunCheckpoints", {})
    return state


def best_fid(checkpoint: dict[str, Any]) -> dict[str, Any] | None:
    """Return ``value`` and ``protocol`` of the lowest FID of a checkpoint's run so far, if any.

    Args:
        checkpoint: from `read_checkpoint`.
    """
    stored = run_state(checkpoint)
    value = stored.get("best_score", math.inf)
    return {"value": value, "protocol": stored.get("protocol")} if math.isfinite(value) else None


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


def weights_name(weights: Any, key: str = "weights") -> str:
    """Return the name of what a user chooses of a run's generators.

    Args:
        weights: ``ema``, ``raw``, or a number: the horizon of an average made after training.
        key: what asked for it, for messages.

    Raises:
        UserError: if it is none of these.
    """
    name = str(weights)
    if name in WEIGHTS:
        return name
    try:
        horizon = float(name)
        power(horizon)
    except ValueError as error:
        raise UserError(
            f"{key}={weights}: must be one of {', '.join(WEIGHTS)}, or the horizon of an average, "
            "such as 0.08: above 0 and below 0.288, relative to the length of training"
        ) from error
    return str(horizon)


def add_generator(checkpoint: dict[str, Any], weights: str, path: Path, where: str) -> str:
    """Let a checkpoint's state hold a generator that was chosen, which may be made of averages.

    Args:
        checkpoint: from `read_checkpoint`; changed in place.
        weights: from `weights_name`.
        path: its file.
        where: the same, for messages.

    Returns:
        How the names of its tensors begin.

    Raises:
        UserError: if the run kept no such averages.
    """
    prefix = prefix_of(weights)
    if weights not in WEIGHTS:
        average = StoredAverages(checkpoint, path, where).average(float(weights))
        checkpoint["state_dict"] |= {prefix + name: tensor for name, tensor in average.items()}
    return prefix


def searched_weights(path: str | Path, key: str = "ckpt") -> list[str]:
    """Return what a search scores: the running average and the horizons within reach.

    Args:
        path: a checkpoint.
        key: what asked for it, for messages.

    Raises:
        UserError: if the file cannot be used or its run kept no averages.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise UserError(f"weights=search: {path} is exported and holds one generator alone")
    stored = StoredAverages(read_checkpoint(path, key), path, f"{key}={path}")
    return ["ema", *map(str, stored.within_reach())]


def prefix_of(weights: str) -> str:
    """Return how the names of a generator's tensors begin in a checkpoint.

    Args:
        weights: from `weights_name`.
    """
    return WEIGHTS.get(weights, f"generator_{weights}.")


def load_painter(
    path: str | Path,
    weights: str | float | None = None,
    device: torch.device | str = "cpu",
    key: str = "ckpt",
) -> TrainedPainter:
    """Rebuild a generator from its checkpoint alone.

    Args:
        path: written by training, or a folder by ``fpainter.export``, or ``owner/name`` of such a
            folder on the Hugging Face hub.
        weights: ``ema`` for the running average, ``raw`` for the generator itself, a number for
            the average of this horizon; None for the running average, or for what was exported.
        device: where to put it.
        key: what asked for it, for messages.

    Returns:
        The generator in evaluation mode, with the run's config.

    Raises:
        UserError: if the file cannot be used or has no such weights.
    """
    weights = None if weights is None else weights_name(weights)
    path = Path(path).expanduser()
    if path.is_dir() or (is_hub_name(path) and not path.exists()):
        painter = load_pretrained(path, device)
        if weights not in (None, painter.weights):
            raise UserError(f"{key}={path}: holds only the weights={painter.weights}")
        return painter
    if path.suffix == ".safetensors" and (path.parent / CONFIG).is_file():
        raise UserError(f"{key}={path}: give its folder, {path.parent}, which says what it holds")
    checkpoint, weights = read_checkpoint(path, key), weights or "ema"
    run = checkpoint["fpainter"] | {"iteration": checkpoint["iteration"], "weights": weights}
    prefix = add_generator(checkpoint, weights, path, f"{key}={path}")
    state = part(checkpoint["state_dict"], prefix)
    return rebuild(run, state, path, f"{key}={path}", device)


def stored_class_names(path: Path, key: str = "ckpt") -> list[str] | None:
    """Return the classes of a checkpoint's or an exported painter's run; None without labels.

    Args:
        path: the file or folder.
        key: what asked for it, for messages.

    Raises:
        UserError: if it cannot be used.
    """
    run = read_config(path) if path.is_dir() else read_checkpoint(path, key)["fpainter"]
    names = run["config"].get("data", {}).get("class_names")
    return list(map(str, names)) if names else None


def exported_state(folder: Path, weights: str) -> dict[str, Any]:
    """Read an exported painter as what a warm start needs of a checkpoint.

    Args:
        folder: written by ``fpainter.export``.
        weights: from `weights_name`; must be those that were exported.

    Returns:
        ``state_dict`` of the generator alone, ``iteration``, and the config as a checkpoint has it.

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
    named = {prefix_of(weights) + name: tensor for name, tensor in state.items()}
    config = OmegaConf.to_container(painter.config)
    return {
        "state_dict": named,
        "iteration": painter.iteration,
        "fpainter": {"config": config},
    }


def exported_overrides(
    folder: Path, chosen: Collection[str] = (), image_size: int | Sequence[int] | None = None
) -> list[str]:
    """Return the overrides that let a run build the same generator as an exported one.

    Args:
        folder: written by ``fpainter.export``.
        chosen: the generator's settings that shall not be as they were.
        image_size: side, or (H, W), that it shall be grown to; None for its own.

    Raises:
        UserError: if the folder cannot be used.
    """
    try:
        config = read_config(folder)["config"]
        generator, size = dict(config["model"]["generator"]), config["image_size"]
        if image_size is not None:
            size = list(as_size(image_size))
            scales = grown_scales(planned(generator, str(folder)), size)
            generator = _of_size(size, generator)
            if scales:
                generator["head"] |= scales
        target = generator.pop("_target_")
        settings = {
            "image_size": size,
            "data.channels": config["data"]["channels"],
            "model.image_range": config["model"]["image_range"],
        } | {f"model.generator.{name}": v for name, v in generator.items() if name not in chosen}
    except (KeyError, TypeError) as error:
        raise UserError(f"{folder}: its record of the run is damaged ({error!r})") from error
    overrides = ["model=base"] if target.endswith(".LightGANGenerator") else []
    for key, value in settings.items():
        if isinstance(value, dict):  # or it would be mixed with what is there
            overrides.append(f"{key}=null")
            key = f"++{key}"
        overrides.append(f"{key}={in_hydras_grammar(value)}")
    return overrides


def _of_size(image_size: list[int], node: Any) -> Any:
    """Return a generator's settings with another image size in each of its parts."""
    if not isinstance(node, dict):
        return node
    return {
        key: image_size if key == "image_size" else _of_size(image_size, value)
        for key, value in node.items()
    }
