"""What a run takes over from a checkpoint of another size: players, optimisers, all of it."""

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fpainter.checkpoints.inference import WEIGHTS
from fpainter.data.loader import with_batches_of
from fpainter.errors import UserError
from fpainter.former import with_current_names
from fpainter.generators.base import Generator
from fpainter.generators.growing import Growth, grown_scales, grown_state
from fpainter.generators.trained import part, planned
from fpainter.nn.sizes import as_size, shape_text
from fpainter.training.gan_module import GANModule
from fpainter.training.phases import PLAYERS
from fpainter.trusted import build

log = logging.getLogger(__name__)

TRUSTED = ("fpainter.discriminators.", "torch.nn.")


class Takeover:
    """Tells what becomes of each tensor of a checkpoint in a run that may have other sizes.

    Args:
        checkpoint: of the other run or stage, plain data.
        module: of this run, as it is drawn; not changed.
        where: the checkpoint's file with the key that named it, for messages.

    Raises:
        UserError: if the generator cannot be grown to its size in this run.
    """

    def __init__(self, checkpoint: Mapping[str, Any], module: GANModule, where: str) -> None:
        self.state: Mapping[str, Tensor] = checkpoint["state_dict"]
        config = with_current_names(checkpoint.get("fpainter", {}).get("config", {}), where)
        self.model: Mapping[str, Any] = config.get("model", {})
        self.module = module
        self.where = where
        self._old_generator: Generator | None = None
        if "generator" in self.model and self._differs("generator"):
            self._old_generator = planned(self.model["generator"], where)
            self._check_scales(self._old_generator)

    def generator(self, prefix: str) -> Growth:
        """Return what the generator, or its average, takes over.

        Args:
            prefix: how the names of the weights wanted begin.

        Raises:
            UserError: if they have other sizes, and nobody knows how to grow them.
        """
        stored, new = part(self.state, prefix), self.module.generator
        growth = grown_state(new, self._old_generator, stored)
        for name in growth.misfits:
            raise UserError(
                f"{self.where}: generator.{name} is {shape_text(stored[name])} there and "
                f"{shape_text(new.state_dict()[name])} in this run; give this run the same sizes"
            )
        return growth

    def discriminator(self) -> Growth:
        """Return what the discriminator takes over; what does not fit begins anew."""
        old = None
        if "discriminator" in self.model and self._differs("discriminator"):
            with torch.device("meta"):
                old = build(self.model["discriminator"], self.where, TRUSTED)
        return grown_state(self.module.discriminator, old, part(self.state, "discriminator."))

    def _differs(self, player: str) -> bool:
        """Say whether a player has other sizes than the stored one."""
        new, description = self.module.get_submodule(player), self.model[player]
        size: Any = getattr(new, "image_size", None)
        if size is not None and as_size(size) != as_size(description.get("image_size", size)):
            return True
        own, stored = new.state_dict(), part(self.state, f"{player}.")
        return any(name in own and own[name].shape != stored[name].shape for name in stored)

    def _check_scales(self, old: Generator) -> None:
        """Say which scales let this run's painter paint the pictures of the old one."""
        new: Any = self.module.generator
        size = getattr(new, "image_size", getattr(old, "image_size", None))
        scales = grown_scales(old, size) if size is not None else {}
        wanted = [
            f"model.generator.head.{name}={scale:.6g}"
            for name, scale in scales.items()
            if abs(new.head.factors[name.removesuffix("_scale")] / scale - 1) > 1e-3
        ]
        if wanted:
            log.warning(
                "the first pictures are not those of %s; they are with %s",
                self.where, " ".join(wanted),
            )  # fmt: skip


def kept_states(stored: dict[str, Any], growth: Growth) -> dict[str, Any]:
    """Return an optimiser's states of those parameters that stay, under their names of now.

    Args:
        stored: its ``state_dict()``, with the names of its parameters or, if nothing has changed
            its size or its name, without.
        growth: what has become of them.
    """
    if not growth.grown and not growth.misfits and all(n == o for n, o in growth.sources.items()):
        return stored
    there = {old: new for new, old in growth.sources.items()}
    groups, state, number = [], {}, 0
    for group in stored["param_groups"]:
        names = []
        for index, name in zip(group["params"], group.get("param_names", ()), strict=False):
            if name in there:
                if index in stored["state"]:
                    state[number] = stored["state"][index]
                names.append(there[name])
                number += 1
        params = list(range(number - len(names), number))
        groups.append(group | {"params": params, "param_names": names})
    return {"state": state, "param_groups": groups}


def grown_checkpoint(
    checkpoint: dict[str, Any], module: GANModule, batch_size: int, where: str
) -> tuple[dict[str, Any], dict[str, Growth]]:
    """Return a checkpoint of one stage of a run as one of the next stage.

    Iteration, counters and callbacks stay as they are, and so do the optimisers' states of all
    tensors that stay.

    Args:
        checkpoint: the last of the stage before, plain data.
        module: of the next stage, as it is drawn.
        batch_size: of the next stage.
        where: the checkpoint's file, for messages.

    Returns:
        The checkpoint, with tensors of its own and of the other; what became of each player.
    """
    takeover = Takeover(checkpoint, module, where)
    growths = {
        "generator": takeover.generator(WEIGHTS["raw"]),
        "generator_ema": takeover.generator(WEIGHTS["ema"]),
        "discriminator": takeover.discriminator(),
    }
    state = module.state_dict()
    for player, growth in growths.items():
        state |= {f"{player}.{name}": tensor for name, tensor in growth.state.items()}
    others = {n: t for n, t in checkpoint["state_dict"].items() if n.split(".")[0] not in growths}
    optimisers = [
        kept_states(stored, growths[player])
        for stored, player in zip(checkpoint["optimizer_states"], PLAYERS, strict=True)
    ]
    return checkpoint | {
        "state_dict": state | others,
        "optimizer_states": optimisers,
        "loops": _with_batches_of(batch_size, checkpoint["loops"]),
        "grown_at": checkpoint.get("iteration" if growths["generator"].grown else "grown_at"),
    }, growths


def _with_batches_of(size: int, node: Any) -> Any:
    """Return Lightning's counters with each stream of images at its place among other batches."""
    if isinstance(node, list):
        return [_with_batches_of(size, entry) for entry in node]
    if not isinstance(node, dict):
        return node
    if "global_batch_size" in node:
        return with_batches_of(size, node)
    return {key: _with_batches_of(size, value) for key, value in node.items()}
