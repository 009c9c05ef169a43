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

from fpainter.checkpoints.grown import Takeover, kept_states
from fpainter.checkpoints.inference import prefix_of, weights_name
from fpainter.errors import UserError
from fpainter.generators.growing import Growth
from fpainter.training.counted import counted
from fpainter.training.gan_module import GANModule
from fpainter.training.optimiser import regrouped
from fpainter.training.phases import PLAYERS

log = logging.getLogger(__name__)

CHOICES = ("keep", "reset")


class WarmStart(Callback):
    """Take over weights by name, and the optimisers' states of what was taken.

    The chosen generator's weights become the generator and its average, grown if its images are
    larger in this run. What this run's modules have and the checkpoint has not (a refiner) starts
    anew; the iteration starts at 0. Every tensor that was taken, has grown, is missing or was left
    is listed in ``warm_start.yaml``.

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
        self.growths: dict[str, Growth] = {}
        verdicts = ("taken", "grown", "missing", "left")
        self.report: dict[str, list[str]] = {verdict: [] for verdict in verdicts}

    def setup(self, trainer: Trainer, pl_module: GANModule, stage: str) -> None:
        """Load the weights."""
        takeover = Takeover(self.checkpoint, pl_module, f"warm_start.ckpt={self.where}")
        prefix = prefix_of(self.weights)
        self.growths = dict.fromkeys(("generator", "generator_ema"), takeover.generator(prefix))
        prefixes = dict.fromkeys(self.growths, prefix)
        pl_module.grown_at = 0 if self.growths["generator"].grown else None
        if self.keeps_discriminator:
            self.growths["discriminator"] = takeover.discriminator()
            prefixes["discriminator"] = "discriminator."
        used: set[str] = set()
        for player, growth in self.growths.items():
            self._load(pl_module, player, growth)
            used |= {prefixes[player] + name for name in (*growth.sources.values(), *growth.grown)}
        if self.keeps_discriminator:
            used |= self._load_counted(pl_module)
        self.report["left"] += [name for name in self.checkpoint["state_dict"] if name not in used]
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
                stored = kept_states(stored, self.growths[player])
                optimiser.load_state_dict(regrouped(stored, optimiser))
                for group in optimiser.param_groups:
                    for name, parameter in zip(group["param_names"], group["params"], strict=True):
                        verdict = "taken" if parameter in optimiser.state else "missing"
                        self.report[verdict].append(f"optimiser of {player}.{name}")
        self._tell(pl_module)

    def _load(self, module: GANModule, player: str, growth: Growth) -> None:
        if not growth.state:
            advice = "; warm_start.discriminator=reset begins with a new one"
            raise UserError(
                f"warm_start.ckpt={self.where}: has nothing for {player}"
                + (advice if player == "discriminator" else "")
            )
        missing, _ = module.get_submodule(player).load_state_dict(growth.state, strict=False)
        for verdict, names in (
            ("taken", growth.sources), ("grown", growth.grown), ("missing", missing),
        ):  # fmt: skip
            self.report[verdict] += [f"{player}.{name}" for name in names]

    def _load_counted(self, module: GANModule) -> set[str]:
        """Take over how much a discriminator that is kept needs augmentation, and the like."""
        taken = counted(module.state_dict(), self.checkpoint["state_dict"])
        module.load_state_dict(taken, strict=False)
        self.report["taken"] += taken
        return set(taken)

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
