"""Reading a checkpoint of the original code and writing it as one of ours."""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from fpainter.checkpoints.legacy.arguments import blame
from fpainter.checkpoints.legacy.names import (
    discriminator_name,
    generator_name,
    is_dropped,
    merged,
    merged_name,
    turned,
)
from fpainter.checkpoints.safe_load import safe_load
from fpainter.data.loader import BatchStream
from fpainter.errors import UserError
from fpainter.training.gan_module import GANModule

PREFIXES = {"generator": "G.", "generator_ema": "GE.", "discriminator": "D."}
OPTIMISERS = {"generator": "G_opt", "discriminator": "D_opt"}
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class Original:
    """A checkpoint of the original code.

    Attributes:
        tensors: of ``generator``, ``generator_ema`` and ``discriminator``, by the original's
            names, in its order, without second names and constants.
        optimisers: the states of Adam of ``generator`` and ``discriminator``.
        num_dropped: second names and constants left out.
        remarks: what a user should know about the file.
    """

    tensors: dict[str, dict[str, Tensor]]
    optimisers: dict[str, dict[str, Any]]
    num_dropped: int = 0
    remarks: list[str] = field(default_factory=list)

    @property
    def c_max(self) -> int:
        """The channels of the discriminator's deepest features, 0 if it has none."""
        weight = self.tensors["discriminator"].get("decoder1.layers.0.1.weight")
        return 0 if weight is None else weight.shape[1]

    def iteration(self) -> tuple[int, str]:
        """Return the number of iterations, which is not stored, and where it comes from."""
        for player, key in OPTIMISERS.items():
            steps = [int(state["step"]) for state in self.optimisers[player]["state"].values()]
            if steps:
                return min(steps), f"the steps of {key}"
        return 0, "no optimiser has made a step"


def read_original(path: str | Path) -> Original:
    """Read a checkpoint of the original code without running anything stored in it.

    Args:
        path: ``model_<number>.pt``.

    Raises:
        UserError: if there is no such file, or it is something else.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"checkpoint={path}: there is no such file")
    stored = safe_load(path, "checkpoint", legacy=True)
    gan = stored.get("GAN") if isinstance(stored, dict) else None
    if not isinstance(gan, dict) or not all(isinstance(t, Tensor) for t in gan.values()):
        raise UserError(f"checkpoint={path}: has no 'GAN', so the original code did not write it")
    parts = {part: _part(gan, prefix) for part, prefix in PREFIXES.items()}
    for part, tensors in parts.items():
        if not tensors:
            raise UserError(f"checkpoint={path}: has no {part}, names with {PREFIXES[part]}")
    unknown = [name for name in gan if not name.startswith((*PREFIXES.values(), "D_aug.D."))]
    if unknown:
        raise UserError(f"checkpoint={path}: {unknown[0]} belongs to no part of a model")
    remarks = []
    trained = _part(gan, "D_aug.D.")
    if trained and not _equal(parts["discriminator"], trained):
        parts["discriminator"] = trained
        remarks.append(
            "D differs from D_aug.D, as after --load_only_g: the latter is taken, which was trained"
        )
    kept = {
        part: {name: tensor for name, tensor in tensors.items() if not is_dropped(name)}
        for part, tensors in parts.items()
    }
    num_dropped = len(gan) - sum(len(tensors) for tensors in kept.values())
    empty: dict[str, Any] = {"state": {}, "param_groups": []}
    optimisers = {player: stored.get(key, empty) for player, key in OPTIMISERS.items()}
    for player, state in optimisers.items():
        if not isinstance(state, dict) or not empty.keys() <= state.keys():
            raise UserError(f"checkpoint={path}: {OPTIMISERS[player]} is no optimiser's state")
    return Original(kept, optimisers, num_dropped, remarks)


def load_weights(module: GANModule, original: Original, args: dict[str, Any], where: str) -> None:
    """Load all weights, every one of them in its place.

    Args:
        module: built as `args` describe.
        original: the checkpoint.
        args: the original's arguments, all of them.
        where: the file they came from, for messages.

    Raises:
        UserError: at the first tensor without a place, place without a tensor, or other shape.
    """
    for part, tensors in original.tensors.items():
        target = module.get_submodule(part)
        own = target.state_dict()
        placed: dict[str, Tensor] = {}
        for name, tensor in merged(tensors).items():
            ours = _rename(part, args)(name)
            full = f"{PREFIXES[part]}{name}"
            if ours not in own:
                why = blame(ours, 0, args, where)
                raise UserError(f"{full} is in the file, but {why} leaves no place for it")
            if _core(tensor.shape) != _core(own[ours].shape):
                axis = _first_difference(tensor.shape, own[ours].shape)
                raise UserError(
                    f"{full} is {_shape(tensor)} in the file, "
                    f"{blame(ours, axis, args, where)} asks for {_shape(own[ours])}"
                )
            placed[ours] = tensor.to(own[ours].dtype).reshape(own[ours].shape)
        missing = next((ours for ours in own if ours not in placed), None)
        if missing is not None:
            why = blame(missing, 0, args, where)
            raise UserError(f"the file has nothing for {part}.{missing}, which {why} asks for")
        target.load_state_dict(turned(placed) if part == "discriminator" else placed)


def load_adam(
    optimiser: Optimizer, player: str, target: nn.Module, original: Original, args: dict[str, Any]
) -> int:
    """Fill one of our optimisers with the original's state of each of its parameters.

    Args:
        optimiser: of our named parameters, without a state.
        player: ``generator`` or ``discriminator``.
        target: that part of the module.
        original: the checkpoint; its optimiser lists parameters in the order of its tensors.
        args: the original's arguments.

    Returns:
        How many parameters start without a state, because there is none in the file.

    Raises:
        UserError: if the file's optimiser is not over the file's parameters.
    """
    key, rename = OPTIMISERS[player], _rename(player, args)
    buffers = dict(target.named_buffers())
    names = [name for name in original.tensors[player] if rename(name) not in buffers]
    stored = original.optimisers[player]
    listed = [index for group in stored["param_groups"] for index in group["params"]]
    if listed and len(listed) != len(names):
        raise UserError(f"{key} lists {len(listed)} parameters, but there are {len(names)}")
    steps: dict[str, Tensor] = {}
    moments: dict[str, dict[str, Tensor]] = {moment: {} for moment in MOMENTS}
    for index, name in zip(listed, names, strict=False):
        if index not in stored["state"]:
            continue
        state = stored["state"][index]
        weight = original.tensors[player][name]
        for moment in MOMENTS:
            if state[moment].shape != weight.shape:
                raise UserError(
                    f"{key}: parameter {index}, {PREFIXES[player]}{name}, is {_shape(weight)}, "
                    f"but its {moment} is {_shape(state[moment])}"
                )
            moments[moment][name] = state[moment]
        steps[rename(merged_name(name))] = torch.tensor(float(state["step"]))
    ours = {m: {rename(n): t for n, t in merged(named).items()} for m, named in moments.items()}
    if player == "discriminator":
        ours["exp_avg"] = turned(ours["exp_avg"])
    num_missing = 0
    for group in optimiser.param_groups:
        for name, parameter in zip(group["param_names"], group["params"], strict=True):
            if name not in steps:
                num_missing += 1
                continue
            optimiser.state[parameter] = {
                "step": steps[name],
                **{m: ours[m][name].to(parameter.dtype).reshape(parameter.shape) for m in MOMENTS},
            }
    return num_missing


def write_checkpoint(
    path: Path,
    module: GANModule,
    fill: Callable[[list[Optimizer]], None],
    batch_size: int,
    record: Callback,
) -> None:
    """Write the checkpoint that training would have left.

    Args:
        path: the file to write; replaced in one step.
        module: with its weights and its iteration.
        fill: puts the states into the optimisers.
        batch_size: images per iteration; training goes on with the data after those used.
        record: writes into the checkpoint what the run was.
    """
    # Only its position is stored; there are no images to look at.
    stream = BatchStream([None], batch_size, seed=0)  # type: ignore[arg-type]
    stream.load_state_dict({"next_batch": module.iteration, "global_batch_size": batch_size})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nothing is trained, so nothing that they say matters
        trainer = Trainer(
            accelerator="cpu",
            max_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=path.parent,
        )
        trainer.fit(module, stream)
    fill(trainer.optimizers)
    _count(trainer, module.iteration)
    trainer.callbacks.append(record)  # type: ignore[attr-defined]
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        trainer.save_checkpoint(temporary, weights_only=False)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _count(trainer: Trainer, iteration: int) -> None:
    """Set the counters of the trainer as they are in a callback after so many iterations."""
    if iteration == 0:
        return
    loop = trainer.fit_loop
    counts = {"ready": iteration, "started": iteration, "processed": iteration}
    for progress, reached in [
        (loop.epoch_progress, {"ready": 1, "started": 1}),
        (loop.epoch_loop.batch_progress, counts | {"completed": iteration - 1}),
        (
            loop.epoch_loop.manual_optimization.optim_step_progress,
            {"ready": iteration, "completed": iteration},
        ),
    ]:
        for tracker in (progress.total, progress.current):
            for name, number in reached.items():
                setattr(tracker, name, number)
    loop.epoch_loop._batches_that_stepped = iteration - 1


def _rename(part: str, args: dict[str, Any]) -> Callable[[str], str]:
    return discriminator_name if part == "discriminator" else generator_name(args["model_type"])


def _part(gan: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in gan.items() if name.startswith(prefix)}


def _equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def _core(shape: torch.Size) -> tuple[int, ...]:
    """Return a shape without its leading ones."""
    sizes = tuple(shape)
    while sizes[:1] == (1,):
        sizes = sizes[1:]
    return sizes


def _first_difference(got: torch.Size, expected: torch.Size) -> int:
    """Return 1 if the first axes differ, else 2."""
    return 1 if got[:1] != expected[:1] else 2


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a number"
