"""How fast a training iteration is, as a whole and by phase, beside the original code's way."""

import copy
import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, LambdaCallback
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fpainter.benchmarks.per_image import per_image
from fpainter.benchmarks.released import LoopedPainter, as_released
from fpainter.benchmarks.stopwatch import medians, peak_memory
from fpainter.data.loader import Batch
from fpainter.generators.synthesis.generator import SynthesisGenerator
from fpainter.training.gan_module import GANModule
from fpainter.training.phases import DiscriminatorPhase, GeneratorPhase

Losses = list[dict[str, float]]

_log = logging.getLogger(__name__)


def iteration(
    module: GANModule, reals: Tensor, repeats: int, device: torch.device, precision: str
) -> dict[str, float]:
    """Train from the same weights, on the same batch and latents, both ways.

    The phases are measured without optimisers: judging fakes, judging and reconstructing reals,
    the same with the penalty, and the generator's step.

    Args:
        module: what is trained; it is not changed.
        reals: the batch, uint8 [B C H W].
        repeats: of everything; medians count.
        device: where.
        precision: of the trainer; the way of the painters' released code stays in float32.

    Returns:
        seconds and bytes of an iteration, their ratios and the largest relative difference of a
        loss, in the first iteration and over all; without ratios and differences if there is no
        other way of this model here.
    """
    ours = copy.deepcopy(module).to(device)
    # Phases are timed as they are in float32; precision is the trainer's.
    parts = {"": Phases(ours, ours.generator, ours.discriminator, spare=True)}
    runs: dict[str, Callable[[], Losses]] = {"": lambda: train(ours, reals, device, precision)}
    try:
        parts["reference_"], runs["reference_"] = _reference(module, reals, device, precision)
    except ValueError as error:
        _log.warning("iteration: without a reference: %s", error)
    results: dict[str, float] = {}
    losses = {name: run() for name, run in runs.items()}
    if "reference_" in runs:
        # Adam's first update is the gradient's sign, which turns rounding near 0 into whole
        # steps: the losses of later iterations part in float32.
        results["loss_deviation"] = _deviation(losses[""][:1], losses["reference_"][:1])
        results["loss_deviation_later"] = _deviation(losses[""], losses["reference_"])
    seconds = medians(runs, repeats, device)
    results |= {f"{name}seconds": value / period(module) for name, value in seconds.items()}
    reals_ = module.image_range.from_bytes(reals).to(device)
    for phase in ("fakes", "reals", "penalty", "generator"):
        timed = {name: part.phase(phase, reals_) for name, part in parts.items()}
        for name, value in medians(timed, repeats, device).items():
            results[f"{phase}.{name}seconds"] = value
    memory = {name: peak_memory(run, device) for name, run in runs.items()}
    results |= {f"{name}bytes": value for name, value in memory.items() if value is not None}
    if "reference_" in runs:
        results["speedup"] = seconds["reference_"] / seconds[""]
        if memory[""] and memory["reference_"]:
            results["memory_ratio"] = memory[""] / memory["reference_"]
    return results


def period(module: GANModule) -> int:
    """Return after how many iterations they repeat; some where no penalty is due now and then."""
    intervals: list[int] = [phase.interval(module) or 1 for phase in module.phases.values()]  # type: ignore[operator]
    every = 4 if module.regulariser is None else module.regulariser.every
    return math.lcm(every, *intervals)


def _reference(
    module: GANModule, reals: Tensor, device: torch.device, precision: str
) -> tuple["Phases", Callable[[], Losses]]:
    """Return the phases and the whole of iterations as the reference of a model runs them."""
    if isinstance(module.generator, SynthesisGenerator):
        theirs = per_image(module).to(device)
        phases = Phases(theirs, theirs.generator, theirs.discriminator, spare=True)
        return phases, lambda: train(theirs, reals, device, precision)
    reference = Released(module, reals, device)
    return reference.phases, reference.run


def _deviation(losses: Losses, reference: Losses) -> float:
    return max(
        abs(ours[name] - value) / max(abs(value), 1e-3)
        for ours, row in zip(losses, reference, strict=True)
        for name, value in row.items()
    )


@dataclass
class Phases:
    """The parts of an iteration, one by one.

    Args:
        module: whose penalty is used.
        generator: z -> images.
        discriminator: images -> Judgement.
        spare: compute no gradients that nobody uses.
    """

    module: GANModule
    generator: nn.Module
    discriminator: nn.Module
    spare: bool

    def phase(self, name: str, reals: Tensor) -> Callable[[], None]:
        """Return a function that runs one phase on reals [B C H W], forward and backward."""
        return {
            "fakes": lambda: self._fakes(len(reals)).backward(),
            "reals": lambda: self._reals(reals, penalise=False).backward(),
            "penalty": lambda: self._reals(reals, penalise=True).backward(),
            "generator": lambda: self._generator(len(reals)).backward(),
        }[name]

    def _fakes(self, num: int) -> Tensor:
        with torch.no_grad():
            images = self.generator(self.module.draw_latents(num))
        return total(self.discriminator(images).logits)

    def _reals(self, reals: Tensor, penalise: bool) -> Tensor:
        reals = reals.clone().requires_grad_(penalise or not self.spare)
        judgement = self.discriminator(reals, auxiliary=True)
        terms = [*judgement.logits]
        if judgement.auxiliary_loss is not None:
            terms.append(judgement.auxiliary_loss)
        if penalise and self.module.regulariser is not None:
            terms.append(self.module.regulariser(judgement.logits, reals))
        return total(terms)

    def _generator(self, num: int) -> Tensor:
        self.discriminator.requires_grad_(not self.spare)
        judgement = self.discriminator(self.generator(self.module.draw_latents(num)))
        self.discriminator.requires_grad_(True)
        return total(judgement.logits)


class Released:
    """Iterations written the way the released code runs them, from a copy of the weights."""

    def __init__(self, module: GANModule, reals: Tensor, device: torch.device) -> None:
        augmented = not isinstance(module.augment, nn.Identity)
        options = module.accumulate > 1 or module.clip or module.schedules
        joint = [type(phase) for phase in module.phases.values()] == [
            DiscriminatorPhase, GeneratorPhase,
        ]  # fmt: skip
        own_steps = not joint or module.phases["generator"].diversity is not None
        of_fakes = module.regulariser is not None and module.regulariser.fakes
        if module.loss.generator_compares or augmented or options or of_fakes or own_steps:
            raise ValueError(
                "it is written for losses of one image, accumulate=1, clip=null, a penalty on "
                "reals alone and in D's step, constant rates, no augmentation, model/phases=joint"
            )
        generator = LoopedPainter(module.generator).to(device)
        discriminator = as_released(module.discriminator).to(device)
        self.phases = Phases(module, generator, discriminator, spare=False)
        self.reals = module.image_range.from_bytes(reals).to(device)
        make_generators, make_discriminators = module.optimiser_factories
        self.generator_optimiser = make_generators(generator.named_parameters())
        self.discriminator_optimiser = make_discriminators(discriminator.named_parameters())

    def run(self) -> Losses:
        """Train until iterations repeat; return their losses."""
        torch.manual_seed(0)
        return [self._iterate(number) for number in range(period(self.phases.module))]

    def _iterate(self, number: int) -> dict[str, float]:
        module, generator = self.phases.module, self.phases.generator
        discriminator, loss = self.phases.discriminator, module.loss
        self.discriminator_optimiser.zero_grad()
        reals = self.reals.clone().requires_grad_(True)
        with torch.no_grad():
            images = generator(module.draw_latents(len(reals)))
        fake, real = discriminator(images), discriminator(reals, auxiliary=True)
        heads = zip(real.logits, fake.logits, strict=True)
        losses = {"loss/discriminator": total(loss.discriminator(r, f) for r, f in heads)}
        if real.auxiliary_loss is not None:
            losses["auxiliary"] = module.auxiliary_weight * real.auxiliary_loss
        if module.regulariser is not None and module.regulariser.due(number):
            losses["penalty"] = module.regulariser(real.logits, reals)
        total(losses.values()).backward()
        self.discriminator_optimiser.step()
        self.generator_optimiser.zero_grad()
        fake = discriminator(generator(module.draw_latents(len(reals))))
        losses["loss/generator"] = total(loss.generator(f, None) for f in fake.logits)
        losses["loss/generator"].backward()
        self.generator_optimiser.step()
        return {name: value.item() for name, value in losses.items()}


def train(module: GANModule, reals: Tensor, device: torch.device, precision: str) -> Losses:
    """Train until iterations repeat, by the trainer that users run; return their losses."""
    losses: Losses = []

    def begin(trainer: Trainer, _: LightningModule, batch: Tensor, index: int) -> None:
        if index == 0:  # loaders have drawn their own seeds by now
            torch.manual_seed(0)

    def keep(*_: Any) -> None:
        losses.append({name: value.item() for name, value in module.metrics.items()})

    module.iteration = 0
    same: Any = [reals] * period(module)
    batches: DataLoader[Any] = DataLoader(same, batch_size=None)
    watch = LambdaCallback(on_train_batch_start=begin, on_train_batch_end=keep)
    fit(module, batches, device, precision, watch)
    return losses


def fit(
    module: GANModule,
    batches: Iterable[Batch],
    device: torch.device,
    precision: str,
    watch: Callback,
) -> None:
    """Let a trainer go once through batches of uint8 images, and do nothing else.

    Args:
        module: what is trained.
        batches: of real images, uint8 [B C H W], with or without their labels.
        device: where.
        precision: of the trainer.
        watch: called as all callbacks are.
    """
    trainer = Trainer(
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=1,
        precision=precision,  # type: ignore[arg-type]
        max_epochs=1,
        callbacks=[watch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, batches)
    module.to(device)  # the trainer leaves it on the CPU


def total(terms: Iterable[Tensor]) -> Tensor:
    """Add tensors up, all their entries."""
    return torch.stack([term.sum() for term in terms]).sum()
