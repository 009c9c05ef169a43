"""Iterations at several image sizes in turn, by a painter whose pictures have no resolution."""

from collections.abc import Sequence
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor

from fpainter.errors import UserError
from fpainter.generators.any_size import AnySizePainter
from fpainter.generators.base import Generator
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.view import View
from fpainter.nn.sizes import as_size, size_text
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
        sizes: sides, or (H, W) each; one that is named twice has twice the iterations.

    Raises:
        ValueError: if there is no size.
    """

    def __init__(self, phase: Phase, sizes: Sequence[int | Sequence[int]]) -> None:
        super().__init__()
        if not sizes:
            raise ValueError("sizes must name at least one image size; got none")
        self.phase = phase
        self.sizes = [as_size(size) for size in sizes]
        self.player = phase.player

    def interval(self, game: Game) -> int | None:
        """Return that of the phase."""
        return self.phase.interval(game)

    def num_latents(self, game: Game, num_reals: int) -> int:
        """Return that of the phase."""
        return self.phase.num_latents(game, num_reals)

    def terms(self, game: Game, reals: Reals, z: Tensor) -> Terms:
        """Return what the phase says at the size whose turn it is.

        Raises:
            UserError: if the painter cannot be seen there, the discriminator cannot judge it, or
                reals cannot be averaged to it.
        """
        size = self.sizes[turn(game.iteration, len(self.sizes))]
        if size == reals.images.shape[-2:]:
            return self.phase.terms(game, reals, z)
        painter = game.generator
        if not isinstance(painter, FastWeightPainter) or painter.supervision.num_canvases > 1:
            raise UserError(
                "model.phases: several sizes need a painter whose finished pictures alone are "
                "judged (model.generator.supervision.num_canvases=1)"
            )
        if not game.discriminator.skips:
            raise UserError(
                "model.phases: several sizes need a discriminator that judges smaller images, too: "
                "model/discriminator=convolutional model.discriminator.skips=1"
            )
        try:
            seen = AnySizePainter(painter, View.of(size))
        except ValueError as error:
            raise UserError(f"model.phases: sizes: {error}") from error
        smaller = Reals(averaged(reals.images, size), reals.label)
        return self.phase.terms(cast(Game, Seen(game, seen)), smaller, z)


def turn(iteration: int, num: int) -> int:
    """Return whose of `num` turns an iteration is: evenly, and in step with no other interval."""
    return int(iteration * GOLDEN % 1 * num)


class Seen:
    """A game whose generator is looked at through a view; all else is the game's."""

    def __init__(self, game: Game, generator: Generator) -> None:
        self.game = game
        self.generator = generator

    def __getattr__(self, name: str) -> Any:
        """Return what the game has by this name."""
        return getattr(self.game, name)


def averaged(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Average images [B C H W] down to a size that divides theirs.

    Raises:
        UserError: if it does not.
    """
    height, width = images.shape[-2:]
    if height % size[0] or width % size[1]:
        raise UserError(
            f"model.phases: sizes: {size_text(size)} does not divide the images of "
            f"{size_text((height, width))}"
        )
    return F.avg_pool2d(images, (height // size[0], width // size[1]))
