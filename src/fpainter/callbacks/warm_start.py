"""Beginning a run with the weights of another, as the training of a U-Net does."""

import copy
import logging
from collections import Counter
from pathlib import Path
from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import OmegaConf
from torch import Tensor, nn

from fpainter.errors import UserError
from fpainter.training.gan_module import PLAYERS, GANModule
from fpainter.training.optimiser import regrouped

log = logging.getLogger(__name__)

WEIGHTS = {"ema": "generator_ema.", "raw": "generator."}  # how they begin in a checkpoint
CHOICES = ("keep", "reset")


class WarmStart(Callback):
    """Take over weights by name, and the optimisers' states of what was taken.

    The chosen generator's weights become the generator and its average. What this run's modules
    have and the checkpoint has not (a refiner) starts anew; the iteration starts at 0. Every
    tensor that was taken, is missing or was left is listed in ``warm_start.yaml``.

    Args:
        directory: the run directory.
        checkpoint: of the other run, plain data.
        where: the checkpoint's file, for messages.
        weights: ``ema`` or ``raw``, which of its generators.
        discriminator: ``keep`` takes its discriminator, ``reset`` starts with a fresh one.
        generator_optimiser: ``keep`` also takes the optimiser's state, ``reset`` does not.
        discriminator_optimiser: the same; without meaning for a fresh discriminator.

    Raises:
        ValueError: if an option is unknown.
    """

    def __init__(
        self,
        directory: str | Path,
        checkpoint: dict[str, Any],
        where: str | Path,
        weights: str = "ema",
        discriminator: str = "keep",
        generator_optimiser: str = "reset",
        discriminator_optimiser: str = "keep",
    ) -> None:
        if weights not in WEIGHTS:
            raise ValueError(f"weights must be one of {list(WEIGHTS)}; got {weights!r}")
        options = {
            "discriminator": discriminator,
            "generator_optimiser": generator_optimiser,
            "discriminator_optimiser": discriminator_optimiser,
        }
        for name, choice in options.items():
            if choice not in CHOICES:
                raise ValueError(f"{name} must be one of {list(CHOICES)}; got {choice!r}")
        self.directory = Path(directory)
        self.checkpoint = checkpoint
        self.where = where
        self.weights = weights
        self.keeps_discriminator = discriminator == "keep"
        self.keeps_states = (
            generator_optimiser == "keep",
            discriminator_optimiser == "keep" and self.keeps_discriminator,
        )
        self.report: dict[str, list[str]] = {"taken": [], "missing": [], "left": []}

    def setup(self, trainer: Trainer, pl_module: GANModule, stage: str) -> None:
        """Load the weights."""
        stored = self.checkpoint["state_dict"]
        taken = {
            "generator.": WEIGHTS[self.weights],
            "generator_ema.": WEIGHTS[self.weights],
        } | ({"discriminator.": "discriminator."} if self.keeps_discriminator else {})
        for ours, theirs in taken.items():
            self._load(pl_module.get_submodule(ours[:-1]), _part(stored, theirs), ours)
        used = tuple(taken.values())
        self.report["left"] += [name for name in stored if not name.startswith(used)]
        trained = dict(pl_module.generator.named_parameters())
        for name in self.report["missing"]:
            parameter = trained.get(name.removeprefix("generator."))
            if parameter is not None and not parameter.requires_grad:
                raise UserError(
                    f"warm_start.ckpt={self.where}: has no {name}, which this run freezes"
                )

    def on_fit_start(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Load the optimisers' states, which exist by now, and tell what was done."""
        optimisers = zip(PLAYERS, trainer.optimizers, self.keeps_states, strict=True)
        for index, (player, optimiser, keeps) in enumerate(optimisers):
            if keeps:
                stored = copy.deepcopy(self.checkpoint["optimizer_states"][index])
                state, missing = regrouped(stored, optimiser)
                optimiser.load_state_dict(state)
                for name in (n for group in optimiser.param_groups for n in group["param_names"]):
                    verdict = "missing" if name in missing else "taken"
                    self.report[verdict].append(f"optimiser of {player}.{name}")
        self._tell(pl_module)

    def _load(self, module: nn.Module, stored: dict[str, Tensor], prefix: str) -> None:
        own = module.state_dict()
        shared = [name for name in own if name in stored]
        if not shared:
            advice = "; warm_start.discriminator=reset begins with a new one"
            raise UserError(
                f"warm_start.ckpt={self.where}: has nothing for {prefix[:-1]}"
                + (advice if prefix == "discriminator." else "")
            )
        for name in shared:
            if own[name].shape != stored[name].shape:
                raise UserError(
                    f"warm_start.ckpt={self.where}: {prefix}{name} is {_shape(stored[name])} "
                    f"there and {_shape(own[name])} in this run; give this run the same sizes"
                )
        for name, tensor in own.items():
            if name in stored:
                tensor.copy_(stored[name])
            self.report["taken" if name in stored else "missing"].append(prefix + name)
        self.report["left"] += [prefix + name for name in stored if name not in own]

    @rank_zero_only
    def _tell(self, module: GANModule) -> None:
        path = self.directory / "warm_start.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.report, path)
        log.info(
            "warm start from %s, %s weights of iteration %d: %s; every name is in %s",
            self.where, self.weights, self.checkpoint["iteration"],
            "; ".join(f"{verdict} {_summary(names)}" for verdict, names in self.report.items()),
            path,
        )  # fmt: skip


def _part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): tensor for n, tensor in state.items() if n.startswith(prefix)}


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a number"


def _summary(names: list[str]) -> str:
    """Count names by their first two parts."""
    counts = Counter(".".join(name.split(".")[:2]) for name in names)
    return ", ".join(f"{part} ({count})" for part, count in counts.items()) or "nothing"
