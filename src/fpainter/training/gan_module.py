"""Adversarial training as a Lightning module: each iteration is a step of D and one of G."""

import copy
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer

from fpainter.augmentation.adaptive import AdaptiveAugment
from fpainter.data.loader import Batch
from fpainter.discriminators.base import Discriminator
from fpainter.errors import UserError
from fpainter.generators.base import Generator
from fpainter.generators.sampler import Sampler
from fpainter.losses.adversarial import AdversarialLoss, mean_sign
from fpainter.losses.regularisers import InputGradientPenalty
from fpainter.nn.image_range import ImageRange
from fpainter.nn.noise import own_rows
from fpainter.nn.sizes import check_number, check_whole, first_misfit
from fpainter.training.counted import COUNTED, counted
from fpainter.training.ema import EMASchedule, move_average
from fpainter.training.exchange import average, average_gradients
from fpainter.training.judging import Reals, micro_batches
from fpainter.training.optimiser import (
    OptimiserFactory,
    changed_options,
    limits,
    optimiser_of,
    regrouped,
    skip_unless_finite,
    slow_down,
)
from fpainter.training.phases import PLAYERS, Phase, check_micro_batches, chosen_phases
from fpainter.training.precision import check_precision
from fpainter.training.schedules import Schedule, chosen, follow

log = logging.getLogger(__name__)


class GANModule(LightningModule):
    """A generator, its running average and a discriminator, trained by manual alternation.

    The module never asks which architectures it holds. One iteration counts as one step of the
    trainer, of checkpoints and of logs, however many steps of optimisers it has. An update whose
    gradient is not finite is skipped.

    Args:
        generator: z [B d_latent] -> images [B C H W], with ``fakes(z)`` for what D must judge.
            Where the data have labels, both players take them.
        discriminator: images -> Judgement.
        loss: both players' adversarial losses; summed over the heads of logits.
        generator_optimiser: named parameters -> optimiser.
        discriminator_optimiser: named parameters -> optimiser.
        ema: when and how far the average of the generator moves.
        regulariser: penalty on D's gradient, computed in float32; None for none.
        image_range: the range reals are mapped to: ``unit`` [0, 1] or ``signed`` [-1, 1].
        accumulate: micro-batches per iteration; the batch must be divisible by it.
        clip: largest norm of the gradient of a part, by its name in this module, such as
            ``discriminator`` or ``generator.sequence_processor``; None leaves it.
        auxiliary_weight: factor on D's auxiliary loss on the reals.
        augment: changes all images [B C H W] before the discriminator sees them; default none.
        schedules: factors, by the iteration, on what stays constant otherwise: ``generator_lr``,
            ``discriminator_lr``, ``penalty``; None for none.
        phases: the steps of an iteration by name, in their order, ``generator`` and
            ``discriminator`` among them; default the discriminator's, then the generator's.

    Attributes:
        iteration: iterations done.
        grown_at: how many were done when the generator last grew; None if it never did.
        metrics: what the last iteration left to be reported; ``skipped`` is its skipped updates.
        skipped_in_a_row: a scalar tensor, the last iterations of which each skipped an update.
        begun: when the present iteration began, with the wait for its images, by the clock of
            ``time.perf_counter``; scores, pictures and checkpoints belong to none.

    Raises:
        ValueError: if an option is out of range.

    Source: the default order of draws and steps is that of IDSIA/fpainter.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        loss: AdversarialLoss,
        generator_optimiser: OptimiserFactory,
        discriminator_optimiser: OptimiserFactory,
        ema: EMASchedule,
        regulariser: InputGradientPenalty | None = None,
        image_range: str = "signed",
        accumulate: int = 1,
        clip: Mapping[str, float | None] | None = None,
        auxiliary_weight: float = 1.0,
        augment: nn.Module | None = None,
        schedules: Mapping[str, Schedule | None] | None = None,
        phases: Mapping[str, Phase | None] | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        check_whole("accumulate", accumulate)
        check_number("auxiliary_weight", auxiliary_weight, zero=True)
        self.generator = generator
        self.generator_ema = copy.deepcopy(generator).eval().requires_grad_(False)
        self.discriminator = discriminator
        self.loss = loss
        self.ema = ema
        self.regulariser = regulariser
        self.image_range = ImageRange(image_range)
        self.accumulate = accumulate
        self.clip = limits(clip, self, PLAYERS)
        self.auxiliary_weight = auxiliary_weight
        self.augment = augment or nn.Identity()
        self.schedules = chosen(schedules, regulariser)
        self.phases = chosen_phases(phases, self)
        self.optimiser_factories = (generator_optimiser, discriminator_optimiser)
        self.iteration = 0
        self.grown_at: int | None = None
        self.metrics: dict[str, Tensor] = {}
        self.skipped_in_a_row = torch.zeros(())
        self.begun = 0.0

    def configure_optimizers(self) -> list[Optimizer]:
        """Build one optimiser per player, slower where a regulariser adds steps of its own.

        Raises:
            UserError: if one cannot be built.
        """
        makers = zip(PLAYERS, self.optimiser_factories, strict=True)
        optimisers = [optimiser_of(name, self.get_submodule(name), make) for name, make in makers]
        for phase in self._phases():
            every = phase.interval(self)
            if every is not None:
                slow_down(optimisers[PLAYERS.index(phase.player)], every)
        return optimisers

    def on_fit_start(self) -> None:
        """Refuse half precision."""
        check_precision(self.trainer.precision)

    def on_train_start(self) -> None:
        """Start the clock of the first iteration."""
        self.begun = time.perf_counter()

    def on_train_batch_end(self, *args: Any) -> None:
        """Start the clock of the next iteration; Lightning calls this after all callbacks."""
        self.begun = time.perf_counter()

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Train one iteration on real images, uint8 [B C H W], and their labels [B], if any.

        Fakes get the labels of the reals at their places.
        """
        num_images = len(batch if isinstance(batch, Tensor) else batch[0])
        check_micro_batches(self.phases, num_images, self.accumulate)
        reals = micro_batches(batch, self.image_range, self.accumulate)
        self.metrics = {}
        optimisers = {player: self._optimiser(i).optimizer for i, player in enumerate(PLAYERS)}
        changing = self.schedules, self.iteration, optimisers, self.regulariser, self.grown_at
        self._report(follow(*changing))
        due = [phase for phase in self._phases() if phase.due(self)]
        for phase in due:
            self._step(phase, reals, counted=phase is due[-1])
        skipped = self.metrics["skipped"]
        self.skipped_in_a_row = (self.skipped_in_a_row.to(skipped) + 1) * skipped.sign()
        decay = self.ema.decay(self.iteration)
        if decay is not None:
            move_average(self.generator_ema, self.generator, decay, self.generator.copied)
            self._report({"ema_decay": decay})
        self.iteration += 1

    def sampler(self) -> Sampler:
        """Return the averaged generator, ready to draw images."""
        return Sampler(self.generator_ema, self.image_range)

    def sizes(self) -> str:
        """Say how many parameters the players have."""
        counts = {n: sum(p.numel() for p in self.get_submodule(n).parameters()) for n in PLAYERS}
        return ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in counts.items())

    def draw_latents(self, num: int) -> Tensor:
        """Draw `num` latents from N(0, I), [num d_latent]."""
        like = next(self.generator.parameters())
        size = self.generator.d_latent
        return own_rows(lambda n: torch.randn(n, size, device=like.device, dtype=like.dtype), num)

    def _latents(self, phase: Phase, micro_batches: tuple[Reals, ...]) -> Iterator[Tensor]:
        """Draw the latents of all micro-batches at once, so that their number changes nothing."""
        sizes = [phase.num_latents(self, len(reals.images)) for reals in micro_batches]
        return iter(self.draw_latents(sum(sizes)).split(sizes))

    def _step(self, phase: Phase, micro_batches: tuple[Reals, ...], counted: bool) -> None:
        """Let a player take one step; Lightning counts one in each iteration."""
        optimiser = self._optimiser(PLAYERS.index(phase.player))
        optimiser.zero_grad()
        latents = self._latents(phase, micro_batches)
        # Toggling spares the gradients of D's parameters, which nobody would use; in D's own steps
        # those of G are out of the graph.
        with self.toggled_optimizer(optimiser) if phase.player == "generator" else nullcontext():
            for reals in micro_batches:
                minimised, logits, shown = phase.terms(self, reals, next(latents))
                self._backward(minimised)
                self._keep(shown)
                if logits is not None:
                    self._watch(*logits)
            self._complete_gradient(phase.player, optimiser)
            if logits is not None:
                self._adapt(sum(len(reals.images) for reals in micro_batches))
            if counted:
                optimiser.step()
            else:  # through the strategy and precision plugins, but past the trainer's counter
                self.trainer.strategy.optimizer_step(optimiser.optimizer, closure=lambda: None)

    def _watch(self, real: Tensor, fake: Tensor) -> None:
        """Report this micro-batch's share of what logits of reals and fakes [B L] say."""
        self._keep({"logit/real": real.mean(), "logit/fake": fake.mean()})
        if isinstance(self.augment, AdaptiveAugment):
            self._keep({"real_sign": mean_sign(self.loss, real, fake)})

    def _adapt(self, num_reals: int) -> None:
        """Augment as the discriminator's step asks for, if augmentation adapts."""
        if isinstance(self.augment, AdaptiveAugment):
            sign = self.metrics["real_sign"] = average(self.metrics["real_sign"])
            self.augment.adapt(sign, num_reals * self.trainer.world_size)
            self.metrics["augment_probability"] = self.augment.probability.clone()

    def _phases(self) -> Iterator[Phase]:
        phases: Any = self.phases.values()
        return iter(phases)

    def _optimiser(self, index: int) -> LightningOptimizer:
        optimisers: Any = self.optimizers()
        return optimisers[index]

    def _backward(self, terms: dict[str, Tensor]) -> None:
        """Add the gradient of this micro-batch's share of the terms' sum, and report the terms."""
        block = getattr(self.trainer.strategy, "block_backward_sync", nullcontext)
        # Autocast would narrow the derivatives of what was computed in float32.
        with block(), torch.autocast(self.device.type, enabled=False):
            self.manual_backward(torch.stack(list(terms.values())).sum() / self.accumulate)
        self._keep(terms)

    def _complete_gradient(self, player: str, optimiser: LightningOptimizer) -> None:
        """Average a gradient over processes; skip the update if it is not finite; else clip it."""
        if self.trainer.world_size > 1:  # DDP would exchange the other player's as well
            average_gradients(self.get_submodule(player).parameters())
        skipped = skip_unless_finite(optimiser.optimizer)
        self.metrics["skipped"] = self.metrics.get("skipped", 0.0) + skipped
        for name, limit in self.clip.items():
            if name.split(".")[0] == player:
                nn.utils.clip_grad_norm_(self.get_submodule(name).parameters(), limit)

    def _keep(self, terms: Mapping[str, Tensor]) -> None:
        """Add this micro-batch's share of each term to the iteration's metrics."""
        for name, term in terms.items():
            share = term.detach() / self.accumulate
            self.metrics[name] = self.metrics[name] + share if name in self.metrics else share

    def _report(self, values: Mapping[str, float]) -> None:
        """Report numbers that are known without computing."""
        # Filled on the device, where the others are, without waiting for it.
        self.metrics |= {n: torch.full((), v, device=self.device) for n, v in values.items()}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the iteration, and that of growing."""
        checkpoint |= {"iteration": self.iteration, "grown_at": self.grown_at}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from the stored iteration, with the options of optimisers that are asked for now.

        Raises:
            UserError: if the weights are not those of this module.
        """
        own, stored = self.state_dict(), checkpoint["state_dict"]
        # An augmentation, say, may be another one now: what it counts begins anew.
        stored = {name: tensor for name, tensor in stored.items() if not name.startswith(COUNTED)}
        stored |= {name: tensor for name, tensor in own.items() if name.startswith(COUNTED)}
        stored |= counted(own, checkpoint["state_dict"])
        checkpoint["state_dict"] = stored
        name = first_misfit(own, stored)
        if name is not None:
            raise UserError(
                f"ckpt: {name} is missing or has another size there; a run goes on with the "
                "model it has, and warm_start.ckpt=PATH begins a new one with its weights"
            )
        self.iteration, self.grown_at = checkpoint["iteration"], checkpoint.get("grown_at")
        for player, state, optimiser in zip(
            PLAYERS, checkpoint["optimizer_states"], self.configure_optimizers(), strict=True
        ):
            for change in changed_options(state, optimiser):
                log.info("model.%s_optimiser: %s", player, change)
            state.update(regrouped(state, optimiser))
