"""Iterations at several image sizes in turn, by a painter whose pictures have no resolution."""

from collections.abc import Sequence
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor

from fpainter.generators.any_size import AnySizePainter
from fpainter.generators.base import Generator
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.view import View
from fpainter.nn.sizes import is_whole, size_text
from fpainter.training.judging import Reals
from fpainter.training.phases import Game, Phase, Terms

GOLDEN = (5**0.5 - 1) / 2  # whose multiples, modulo 1, are even and have no period


class AtSizes(Phase):
    """Another phase, at image sizes that take turns from one iteration to the next.

    At a size below that of the run, the painter paints as it is seen there, and reals are
    averaged down to it. The discriminator must judge images of that size: the convolutional one
    does where it has `skips`, by beginning where its smaller copies of the image enter.

    Args:
        phase: what is done at each size.
        halvings: how often the images of the run are halved, for each turn; 0, their own size,
            among them. One that is named twice has twice the iterations.

    Raises:
        ValueError: if there is no 0, or something else than whole numbers from 0 on.
    """

    def __init__(self, phase: Phase, halvings: Sequence[int]) -> None:
        super().__init__()
        turns: Any = [*halvings] if isinstance(halvings, Sequence) else [halvings]
        if 0 not in turns or not all(is_whole(times, least=0) for times in turns):
            raise ValueError(
                "halvings must say how often image_size is halved, in whole numbers with 0, the "
                f"size itself, among them, such as [1,0]; got {halvings}"
            )
        self.phase = phase
        self.halvings: list[int] = turns
        self.player = phase.player
        self.least = phase.least

    def check(self, game: Game) -> None:
        """Refuse players of which one cannot paint or judge images halved so often.

        Raises:
            ValueError: if one cannot, or if the sides are odd before.
        """
        self.phase.check(game)
        most, painter = max(self.halvings), game.generator
        if not most:
            return
        if not isinstance(painter, FastWeightPainter) or painter.supervision.num_canvases > 1:
            raise ValueError(
                f"phases: halvings={self.halvings} needs a painter whose finished pictures alone "
                "are judged (model.generator.supervision.num_canvases=1)"
            )
        size = painter.image_size
        if any(side % 2**most for side in size):
            raise ValueError(
                f"phases: halvings={self.halvings}: images of {size_text(size)} cannot be halved "
                f"evenly {most} times; choose fewer halvings or another image_size"
            )
        if game.discriminator.skips < most:
            raise ValueError(
                f"phases: halvings={self.halvings} needs a discriminator that judges smaller "
                f"images, too: model/discriminator=convolutional model.discriminator.skips={most}"
            )
        try:
            seen_at(painter, size, most)
        except ValueError as error:
            raise ValueError(f"phases: halvings={self.halvings}: {error}") from error

    def interval(self, game: Game) -> int | None:
        """Return that of the phase."""
        return self.phase.interval(game)

    def num_latents(self, game: Game, num_reals: int) -> int:
        """Return that of the phase."""
        return self.phase.num_latents(game, num_reals)

    def terms(self, game: Game, reals: Reals, z: Tensor) -> Terms:
        """Return what the phase says at the size whose turn it is."""
        times = self.halvings[turn(game.iteration, len(self.halvings))]
        if not times:
            return self.phase.terms(game, reals, z)
        seen = seen_at(cast(FastWeightPainter, game.generator), reals.images.shape[-2:], times)
        smaller = Reals(F.avg_pool2d(reals.images, 2**times), reals.label)
        return self.phase.terms(cast(Game, Seen(game, seen)), smaller, z)


def turn(iteration: int, num: int) -> int:
    """Return whose of `num` turns an iteration is: evenly, and in step with no other interval."""
    return int(iteration * GOLDEN % 1 * num)


def seen_at(painter: FastWeightPainter, size: Sequence[int], halvings: int) -> AnySizePainter:
    """Return the painter as it is seen where its images of (H, W) are halved so often.

    Raises:
        ValueError: if it is bound to its size.
    """
    return AnySizePainter(painter, View.of([side // 2**halvings for side in size]))


class Seen:
    """A game whose generator is looked at through a view; all else is the game's."""

    def __init__(self, game: Game, generator: Generator) -> None:
        self.game = game
        self.generator = generator

    def __getattr__(self, name: str) -> Any:
        """Return what the game has by this name."""
        return getattr(self.game, name)
