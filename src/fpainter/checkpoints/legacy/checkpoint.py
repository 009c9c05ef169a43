"""Reading a checkpoint of the original code and writing it as one of ours."""

from dataclasses import dataclass, field
from itertools import dropwhile
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fpainter.checkpoints.legacy.arguments import blame
from fpainter.checkpoints.legacy.names import is_dropped, merged, renaming, turned
from fpainter.checkpoints.safe_load import safe_load
from fpainter.errors import UserError
from fpainter.files import replacing
from fpainter.generators.trained import part
from fpainter.nn.sizes import shape_text
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
    stored = safe_load(path, "checkpoint", legacy=True)
    gan = stored.get("GAN") if isinstance(stored, dict) else None
    if not isinstance(gan, dict) or not all(isinstance(t, Tensor) for t in gan.values()):
        raise UserError(f"checkpoint={path}: has no 'GAN', so the original code did not write it")
    for name in gan:
        if not name.startswith((*PREFIXES.values(), "D_aug.D.")):
            raise UserError(f"checkpoint={path}: {name} belongs to no part of a model")
    remarks = []
    parts = {player: part(gan, prefix) for player, prefix in PREFIXES.items()}
    trained = part(gan, "D_aug.D.")
    if trained and not _equal(parts["discriminator"], trained):
        parts["discriminator"] = trained
        remarks.append(
            "D differs from D_aug.D, as after --load_only_g: the latter is taken, which was trained"
        )
    kept = {}
    for player, tensors in parts.items():
        if not tensors:
            raise UserError(f"checkpoint={path}: has no {player}, names with {PREFIXES[player]}")
        kept[player] = {name: t for name, t in tensors.items() if not is_dropped(name)}
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
    for player, tensors in original.tensors.items():
        target = module.get_submodule(player)
        own = target.state_dict()
        placed: dict[str, Tensor] = {}
        rename = renaming(player, args["model_type"])
        for name, tensor in merged(tensors).items():
            ours = rename(name)
            full = f"{PREFIXES[player]}{name}"
            if ours not in own:
                why = blame(ours, 0, args, where)
                raise UserError(f"{full} is in the file, but {why} leaves no place for it")
            if _core(tensor.shape) != _core(own[ours].shape):
                axis = 1 if tensor.shape[:1] != own[ours].shape[:1] else 2
                raise UserError(
                    f"{full} is {shape_text(tensor)} in the file, "
                    f"{blame(ours, axis, args, where)} asks for {shape_text(own[ours])}"
                )
            placed[ours] = tensor.reshape(own[ours].shape)
        for ours in own:
            if ours not in placed:
                why = blame(ours, 0, args, where)
                raise UserError(f"the file has nothing for {player}.{ours}, which {why} asks for")
        target.load_state_dict(turned(placed) if player == "discriminator" else placed)


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
    key, rename = OPTIMISERS[player], renaming(player, args["model_type"])
    buffers = dict(target.named_buffers())
    weights = {n: w for n, w in original.tensors[player].items() if rename(n) not in buffers}
    stored = original.optimisers[player]
    listed = [index for group in stored["param_groups"] for index in group["params"]]
    if listed and len(listed) != len(weights):
        raise UserError(f"{key} lists {len(listed)} parameters, but there are {len(weights)}")
    states: dict[str, dict[str, Any]] = {}
    for index, name in zip(listed, weights, strict=False):
        if index not in stored["state"]:
            continue
        state = states[name] = stored["state"][index]
        for moment in MOMENTS:
            if state[moment].shape != weights[name].shape:
                raise UserError(
                    f"{key}: parameter {index}, {PREFIXES[player]}{name}, is "
                    f"{shape_text(weights[name])}, but its {moment} is {shape_text(state[moment])}"
                )
    steps = {rename(name): torch.tensor(float(state["step"])) for name, state in states.items()}
    moments = {}
    for moment in MOMENTS:
        theirs = merged({name: state[moment] for name, state in states.items()})
        moments[moment] = {rename(name): tensor for name, tensor in theirs.items()}
    if player == "discriminator":
        moments["exp_avg"] = turned(moments["exp_avg"])
    for group in optimiser.param_groups:
        for name, parameter in zip(group["param_names"], group["params"], strict=True):
            if name in steps:
                optimiser.state[parameter] = {"step": steps[name]} | {
                    moment: named[name].to(parameter.dtype).reshape(parameter.shape)
                    for moment, named in moments.items()
                }
    return sum(len(g["params"]) for g in optimiser.param_groups) - len(optimiser.state)


def write_checkpoint(
    path: Path,
    module: GANModule,
    optimisers: list[Optimizer],
    batch_size: int,
    record: dict[str, Any],
) -> None:
    """Write the checkpoint that training would have left.

    Args:
        path: the file to write; replaced in one step.
        module: with its weights and its iteration.
        optimisers: of its players, with their states.
        batch_size: images per iteration; training goes on with the data after those used.
        record: what the run was.
    """
    done = module.iteration
    loop = lightning.Trainer(accelerator="cpu", logger=False, max_steps=0).fit_loop.state_dict()
    loop["state_dict"] = {
        "combined_loader": [{"next_batch": done, "global_batch_size": batch_size}]
    }
    if done:  # the counters as they are in a callback after the last iteration
        steps = {"ready": done, "completed": done}
        for progress, counts in {
            "epoch_progress": {"ready": 1, "started": 1},
            "epoch_loop.batch_progress": steps
            | {"started": done, "processed": done, "completed": done - 1},
            "epoch_loop.manual_optimization.optim_step_progress": steps,
        }.items():
            loop[progress]["total"].update(counts)
            loop[progress]["current"].update(counts)
        loop["epoch_loop.state_dict"] = {"_batches_that_stepped": done - 1}
    checkpoint = {
        "epoch": 0,
        "global_step": done,
        "pytorch-lightning_version": lightning.__version__,
        "state_dict": module.state_dict(),
        "loops": {"fit_loop": loop},
        "callbacks": {},
        "optimizer_states": [optimiser.state_dict() for optimiser in optimisers],
        "lr_schedulers": [],
        "fpainter": record,
    }
    module.on_save_checkpoint(checkpoint)
    with replacing(path) as new:
        torch.save(checkpoint, new)


def _equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def _core(shape: torch.Size) -> tuple[int, ...]:
    """Return a shape without its leading ones."""
    return tuple(dropwhile(lambda size: size == 1, shape))
