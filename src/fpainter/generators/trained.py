"""A generator as training left it, built again from plain data and tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from fpainter.errors import UserError, first_line
from fpainter.generators.base import Generator
from fpainter.generators.sampler import Sampler
from fpainter.nn.image_range import ImageRange
from fpainter.nn.sizes import first_misfit
from fpainter.trusted import build

TRUSTED = ("fpainter.generators.", "torch.nn.")


@dataclass(frozen=True)
class TrainedPainter:
    """A generator as training left it.

    Attributes:
        sampler: draws its images.
        config: the resolved config of the run, plain data; of an exported one, what its images and
            their scores depend on.
        iteration: iterations trained.
        weights: ``ema``, ``raw`` or the horizon of an average made after training.
        path: the file or folder it came from.
    """

    sampler: Sampler
    config: DictConfig
    iteration: int
    weights: str
    path: Path


def rebuild(
    description: Mapping[str, Any],
    state: Mapping[str, Tensor],
    path: Path,
    where: str,
    device: torch.device | str,
) -> TrainedPainter:
    """Build a generator that was trained, and load its weights.

    Args:
        description: ``config``, ``iteration`` and ``weights``, from a file.
        state: the generator's names and tensors.
        path: the file or folder they came from.
        where: the same, for messages.
        device: where to put it.

    Returns:
        The generator in evaluation mode and without gradients.

    Raises:
        UserError: if something is missing, does not fit or is not trusted.
    """
    try:
        config = description["config"]
        model = config["model"]
        plan = planned(model["generator"], where)
        expected = plan.state_dict()
        name = first_misfit(expected, state)
        if name is not None:
            stored = tuple(state[name].shape) if name in state else "missing"
            asked = tuple(expected[name].shape) if name in expected else "no such tensor"
            raise UserError(f"{where}: {name} is {stored}; the config asks for {asked}")
        generator = build(model["generator"], where, TRUSTED)
        generator.load_state_dict(state)
        generator.to(device).eval().requires_grad_(False)
        generator.class_names = _class_names(config, generator.num_labels)
        sampler = Sampler(generator, ImageRange(model["image_range"]))
        iteration, weights = description["iteration"], description["weights"]
        return TrainedPainter(sampler, OmegaConf.create(config), iteration, weights, path)
    except UserError:
        raise
    except Exception as error:  # a record that was changed by hand leads to errors of any type
        reason = first_line(error)
        raise UserError(f"{where}: its record of the run is damaged ({reason})") from error


def _class_names(config: Mapping[str, Any], num_labels: int) -> tuple[str, ...]:
    """Return what the run called its labels.

    Raises:
        ValueError: if it had another number of them.
    """
    names = tuple(map(str, config.get("data", {}).get("class_names") or ()))
    if names and len(names) != num_labels:
        raise ValueError(f"it names {len(names)} classes for num_labels={num_labels}")
    return names


def planned(description: Mapping[str, Any], where: str) -> Generator:
    """Build a generator without memory, however large the numbers that describe it.

    Args:
        description: plain data with a ``_target_``, from a file.
        where: the file, for messages.

    Raises:
        UserError: if it cannot be built, is not trusted or is no generator.
    """
    with torch.device("meta"):
        plan = build(description, where, TRUSTED)
    if not isinstance(plan, Generator):
        raise UserError(f"{where}: holds a {type(plan).__name__}, no Generator")
    return plan


def part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix`, without it."""
    return {name[len(prefix) :]: t for name, t in state.items() if name.startswith(prefix)}


def check_format(found: Any, version: Any, newest: int, where: str) -> None:
    """Refuse what a newer fpainter wrote, or what has no format.

    Args:
        found: the format in the file.
        version: of the fpainter that wrote it.
        newest: the newest format that this version reads.
        where: the file, for messages.

    Raises:
        UserError: if it cannot be read.
    """
    if not isinstance(found, int):
        raise UserError(f"{where}: its record of the run is damaged (it has no format)")
    if found > newest:
        raise UserError(
            f"{where}: of format {found} (fpainter {version}), newer "
            f"than the format {newest} that this version reads; please update fpainter"
        )
