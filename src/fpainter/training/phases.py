"""What an iteration is made of: optimiser steps of one player each, one after the other."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol, cast

from torch import Tensor, nn

from fpainter.discriminators.base import Discriminator
from fpainter.errors import UserError
from fpainter.generators.base import Generator
from fpainter.losses.adversarial import AdversarialLoss
from fpainter.losses.diversity import ModeSeeking
from fpainter.losses.regularisers import InputGradientPenalty
from fpainter.training.judging import (
    Reals,
    discriminator_terms,
    generator_loss,
    judge,
    label_of_each,
    painted,
    penalty_terms,
)
from fpainter.training.schedules import Schedule, factor_at

PLAYERS = ("generator", "discriminator")


class Game(Protocol):
    """What phases read of the module, as it stands when they are due."""

    generator: Generator
    discriminator: Discriminator
    augment: nn.Module
    loss: AdversarialLoss
    regulariser: InputGradientPenalty | None
    auxiliary_weight: float
    schedules: dict[str, Schedule]
    iteration: int


class Terms(NamedTuple):
    """What a phase says of a micro-batch.

    Attributes:
        minimised: scalars with a graph; the player descends the gradient of their sum.
        logits: of the first head for reals and for fakes [B L], if they are to be watched.
        shown: other scalars that are reported.
    """

    minimised: dict[str, Tensor]
    logits: tuple[Tensor, Tensor] | None = None
    shown: Mapping[str, Tensor] = MappingProxyType({})


class Phase(nn.Module):
    """A step of one player's optimiser.

    A regulariser that has steps of its own is due every so many iterations, and its weight is
    multiplied by that interval. It changes Adam as a second step now and then would: see
    `fpainter.training.optimiser.slow_down`.

    Attributes:
        player: whose parameters move.
        least: images that a micro-batch must have; 2 where they are compared with each other.
    """

    player: str
    least: int = 1

    def check(self, game: Game) -> None:
        """Refuse players and losses that the phase cannot do with, when the module is built.

        Raises:
            ValueError: if it cannot.
        """

    def interval(self, game: Game) -> int | None:
        """Return the iterations between the steps of a regulariser; None: it is no regulariser."""
        return None

    def due(self, game: Game) -> bool:
        """Say whether the present iteration has this step."""
        every = self.interval(game)
        return every is None or game.iteration % every == 0

    def num_latents(self, game: Game, num_reals: int) -> int:
        """Return how many latents are drawn for a micro-batch."""
        return num_reals

    def terms(self, game: Game, reals: Reals, z: Tensor) -> Terms:
        """Return what is minimised.

        Args:
            game: players and losses.
            reals: real images [B C H W] and their labels, if any.
            z: latents [`num_latents` d_latent].
        """
        raise NotImplementedError


class GeneratorPhase(Phase):
    """The generator against the discriminator.

    Args:
        diversity: what keeps fakes of different latents apart; None for nothing.
    """

    player = "generator"

    def __init__(self, diversity: ModeSeeking | None = None) -> None:
        super().__init__()
        self.diversity = diversity
        self.least = 1 if diversity is None else 2

    def terms(self, game: Game, reals: Reals, z: Tensor) -> Terms:
        """Return the adversarial loss and, if there are any, the generator's own and diversity."""
        fakes = game.generator.fakes(z, reals.label)
        label = label_of_each(reals.label, fakes.images)
        players = game.discriminator, game.augment
        fake = game.discriminator(game.augment(fakes.images), label=label)
        terms = {"loss/generator": generator_loss(game.loss, fake, reals, *players)}
        if fakes.auxiliary_loss is not None:
            terms["generator_auxiliary"] = fakes.auxiliary_loss
        if self.diversity is not None:
            terms["diversity"] = self.diversity(fakes.images, reals.images)
        return Terms(terms)


class DiscriminatorPhase(Phase):
    """The discriminator on reals and fakes.

    Args:
        penalise: add the module's regulariser where it is due; false where it has steps of its own.
    """

    player = "discriminator"

    def __init__(self, penalise: bool = True) -> None:
        super().__init__()
        self.penalise = penalise

    def terms(self, game: Game, reals: Reals, z: Tensor) -> Terms:
        """Return the adversarial loss, the auxiliary loss and the penalty."""
        regulariser = game.regulariser if self.penalise else None
        if regulariser is not None and not regulariser.due(game.iteration):
            regulariser = None
        fakes, of_fakes = painted(game.generator, reals, z)
        players = game.discriminator, game.augment
        penalise_fakes = regulariser is not None and regulariser.fakes
        fake = judge(*players, fakes, penalise_fakes, label=of_fakes)
        penalise = regulariser is not None
        real = judge(*players, reals.images, penalise, auxiliary=True, label=reals.label)
        factor = factor_at(game.schedules, "penalty", game.iteration)
        weight = game.auxiliary_weight
        terms = discriminator_terms(game.loss, real, fake, weight, regulariser, factor)
        return Terms(terms, (real.judgement.logits[0], fake.judgement.logits[0]))


class PenaltyPhase(Phase):
    """The module's regulariser alone, as a step of the discriminator.

    Source: Karras et al. 2020 (StyleGAN2), with R1 every 16 iterations.
    """

    player = "discriminator"

    def check(self, game: Game) -> None:
        """Refuse to be without a regulariser.

        Raises:
            ValueError: if there is none.
        """
        if game.regulariser is None:
            raise ValueError(
                "phases.penalty needs model.regulariser, and there is none; "
                "phases.penalty=null leaves it out"
            )

    def interval(self, game: Game) -> int | None:
        """Return the regulariser's interval."""
        assert game.regulariser is not None
        return game.regulariser.every

    def num_latents(self, game: Game, num_reals: int) -> int:
        """Return as many as reals where fakes are penalised, too."""
        return num_reals if game.regulariser is not None and game.regulariser.fakes else 0

    def terms(self, game: Game, reals: Reals, z: Tensor) -> Terms:
        """Return the penalty on reals and, if wanted, on fakes."""
        assert game.regulariser is not None
        players, fake = (game.discriminator, game.augment), None
        if game.regulariser.fakes:
            fakes, label = painted(game.generator, reals, z)
            fake = judge(*players, fakes, penalise=True, label=label)
        real = judge(*players, reals.images, penalise=True, label=reals.label)
        factor = factor_at(game.schedules, "penalty", game.iteration)
        return Terms(penalty_terms(game.regulariser, factor, real, fake))


def chosen_phases(phases: Mapping[str, Phase | None] | None, game: Game) -> nn.ModuleDict:
    """Return the phases that are not None, in their order; of none D's step, then G's.

    Args:
        phases: by name.
        game: whose players and losses they must be able to do with.

    Raises:
        ValueError: if a player has no step, or a phase cannot.
    """
    if phases is None:
        phases = {"discriminator": DiscriminatorPhase(), "generator": GeneratorPhase()}
    found = {name: phase for name, phase in phases.items() if phase is not None}
    for player in PLAYERS:
        if player not in found:
            raise ValueError(f"phases: there must be one called {player}; got {list(found)}")
    for phase in found.values():
        phase.check(game)
    return nn.ModuleDict(found)


def check_micro_batches(phases: nn.ModuleDict, num_images: int, accumulate: int) -> None:
    """Refuse to cut a process's images into parts that are unequal, or too small for a phase.

    Args:
        phases: of an iteration.
        num_images: of an iteration and a process.
        accumulate: how many parts.

    Raises:
        UserError: if they would be.
    """
    if num_images % accumulate:
        raise UserError(f"model.accumulate={accumulate} does not divide the batch of {num_images}")
    size, given = num_images // accumulate, cast(Mapping[str, Phase], phases)
    for name, phase in given.items():
        if size < phase.least:
            raise UserError(
                f"model.phases.{name} compares images of a micro-batch with each other, and "
                f"model.accumulate={accumulate} leaves {size} of the {num_images} that a process "
                "has; choose a larger batch_size or fewer micro-batches or processes, or "
                "leave out mode seeking with diversity=null there"
            )
