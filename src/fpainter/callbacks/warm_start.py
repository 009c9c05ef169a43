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

from fpainter.checkpoints.inference import prefix_of, weights_name
from fpainter.errors import UserError
from fpainter.generators.trained import part
from fpainter.nn.sizes import shape_text
from fpainter.training.gan_module import PLAYERS, GANModule
from fpainter.training.optimiser import regrouped

log = logging.getLogger(__name__)

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
        weights: which of its generators: ``ema``, ``raw``, or a horizon whose average has been
            added to the checkpoint.
        discriminator: ``keep`` takes its discriminator, ``reset`` starts with a fresh one.
        generator_optimiser: ``keep`` also takes the optimiser's state, ``reset`` does not.
        discriminator_optimiser: the same; without meaning for a fresh discriminator.

    Raises:
        ValueError: if an option is unknown.
        UserError: if there can be no such weights.
    """

    def __init__(
        self,
        directory: str | Path,
        checkpoint: dict[str, Any],
        where: str | Path,
        weights: str | float = "ema",
        discriminator: str = "keep",
        generator_optimiser: str = "reset",
        discriminator_optimiser: str = "keep",
    ) -> None:
        for name, choice, allowed in (
            ("discriminator", discriminator, CHOICES),
            ("generator_optimiser", generator_optimiser, CHOICES),
            ("discriminator_optimiser", discriminator_optimiser, CHOICES),
        ):
            if choice not in allowed:
                raise ValueError(f"{name} must be one of {list(allowed)}; got {choice!r}")
        self.directory = Path(directory)
        self.checkpoint = checkpoint
        self.where = where
        self.weights = weights_name(weights, "warm_start.weights")
        self.keeps_discriminator = discriminator == "keep"
        self.keeps_states = (
            generator_optimiser == "keep",
            discriminator_optimiser == "keep" and self.keeps_discriminator,
        )
        self.report: dict[str, list[str]] = {"taken": [], "missing": [], "left": []}

    def setup(self, trainer: Trainer, pl_module: GANModule, stage: str) -> None:
        """Load the weights."""
        stored = self.checkpoint["state_dict"]
        used = dict.fromkeys(("generator", "generator_ema"), prefix_of(self.weights))
        if self.keeps_discriminator:
            used["discriminator"] = "discriminator."
        for player, prefix in used.items():
            self._load(pl_module.get_submodule(player), part(stored, prefix), player)
        unused = [name for name in stored if not name.startswith(tuple(used.values()))]
        self.report["left"] += unused
        for name, parameter in pl_module.generator.named_parameters(prefix="generator"):
            if not parameter.requires_grad and name in self.report["missing"]:
                raise UserError(
                    f"warm_start.ckpt={self.where}: has no {name}, which this run freezes"
                )

    def on_fit_start(self, trainer: Trainer, pl_module: GANModule) -> None:
        """Load the optimisers' states, which exist by now, and tell what was done."""
        optimisers = zip(PLAYERS, trainer.optimizers, self.keeps_states, strict=True)
        for index, (player, optimiser, keeps) in enumerate(optimisers):
            if keeps:
                stored = copy.deepcopy(self.checkpoint["optimizer_states"][index])
                optimiser.load_state_dict(regrouped(stored, optimiser))
                for group in optimiser.param_groups:
                    for name, parameter in zip(group["param_names"], group["params"], strict=True):
                        verdict = "taken" if parameter in optimiser.state else "missing"
                        self.report[verdict].append(f"optimiser of {player}.{name}")
        self._tell(pl_module)

    def _load(self, module: nn.Module, stored: dict[str, Tensor], player: str) -> None:
        own = module.state_dict()
        taken = [name for name in own if name in stored]
        if not taken:
            advice = "; warm_start.discriminator=reset begins with a new one"
            raise UserError(
                f"warm_start.ckpt={self.where}: has nothing for {player}"
                + (advice if player == "discriminator" else "")
            )
        for name in taken:
            if own[name].shape != stored[name].shape:
                raise UserError(
                    f"warm_start.ckpt={self.where}: {player}.{name} is {shape_text(stored[name])} "
                    f"there and {shape_text(own[name])} in this run; give this run the same sizes"
                )
        missing, left = module.load_state_dict(stored, strict=False)
        for verdict, names in ("taken", taken), ("missing", missing), ("left", left):
            self.report[verdict] += [f"{player}.{name}" for name in names]

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


def _summary(names: list[str]) -> str:
    """Count names by their first two parts."""
    counts = Counter(".".join(name.split(".")[:2]) for name in names)
    return ", ".join(f"{part} ({count})" for part, count in counts.items()) or "nothing"
