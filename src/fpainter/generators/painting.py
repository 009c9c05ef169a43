"""A painting: what is left of every step of a batch of images, so that all of them can be seen."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple, Self

import torch
from torch import Tensor

from fpainter.ops import rank_one


class Order(NamedTuple):
    """Numbers that the instruction head writes for each step of a rule.

    Attributes:
        name: under which the rule is given them.
        axis: ``columns`` (a vector of W entries), ``rows`` (of H) or ``scalar``.
        activation: of `fpainter.nn.activations`; `InstructionHead` can have another one for key,
            value and rate.
        per: ``channel``, or ``image`` if all channels share it.
        repeat: how many of them a step has; None: one, without an axis of its own.
        patterned: whether it is written in the head's basis; else entry by entry.
        like: an order whose activation and scale it shares, whatever the head is told they are:
            what the canvas is read with, besides the key, is ``like="key"``.
    """

    name: str
    axis: str
    activation: str = "identity"
    per: str = "channel"
    repeat: int | None = None
    patterned: bool = True
    like: str | None = None


# What the slow net wrote for all steps, by the names of the orders: the key, column patterns
# [B C T W]; the value, row patterns [B C T H]; the rate, write strengths [B C T 1 or H]; or what
# else the learning rule asks for. [B C T repeat *] where a step has several of them, [B 1 T *]
# where all channels share them.
Instructions = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Painting(ABC):
    """All steps of a batch of images.

    The final image, step pictures, intermediate canvases and films are all read from here; no
    second run of the generator is needed for any of them. Values are those of the canvas, before
    the refiner and the output activation. A step's picture is what it changed on the canvas.

    Attributes:
        orders: what the learning rule asks for.
        instructions: what it was given.
        canvas: W_0 [B C H W]; None means zeros.
        left_out: steps, in 1..T, that were not painted.
    """

    orders: tuple[Order, ...]
    instructions: Instructions
    canvas: Tensor | None
    left_out: frozenset[int] = field(default_factory=frozenset)

    def __len__(self) -> int:
        return len(self.instructions[self.orders[0].name])

    @property
    def num_steps(self) -> int:
        """Return the number of painting steps T."""
        return self.instructions[self.orders[0].name].shape[2]

    def along(self, axis: str) -> Tensor:
        """Return the pattern that is ordered along an axis, such as keys [B C T W] along columns.

        The first of the rule's orders for that axis counts; where a step has several of them, the
        sum of their sizes.
        """
        order = next(each for each in self.orders if each.axis == axis and each.patterned)
        found = self.instructions[order.name]
        return found if order.repeat is None else found.abs().sum(dim=3)

    @abstractmethod
    def image(self) -> Tensor:
        """Return the finished canvas W_T [B C H W]."""

    @abstractmethod
    def canvases(self, steps: Sequence[int] | None = None) -> Tensor:
        """Return the canvas after the given numbers of steps (default 1..T), [B S C H W]."""

    @abstractmethod
    def without(self, steps: Collection[int]) -> Self:
        """Return the painting as it is if some steps, numbers in 1..T, write nothing."""

    def updates(self) -> Tensor:
        """Return what each step changed on the canvas [B T C H W]."""
        return self.canvases(range(self.num_steps + 1)).diff(dim=1)


@dataclass(frozen=True, kw_only=True)
class StrokePainting(Painting):
    """A painting in rank-1 strokes: ``W <- diag(e^a) W diag(e^b) + u p^T``, one after the other.

    Attributes:
        rows: u [B C S H], of S strokes.
        cols: p [B C S W].
        fade_rows: a [B C S H or 1], logarithms; None: rows do not fade.
        fade_columns: b [B C S W or 1], the same of columns.
    """

    rows: Tensor
    cols: Tensor
    fade_rows: Tensor | None = None
    fade_columns: Tensor | None = None

    @property
    def fades(self) -> bool:
        """Return whether anything fades; if not, every canvas is W_0 and a sum of strokes."""
        return self.fade_rows is not None or self.fade_columns is not None

    @property
    def per_step(self) -> int:
        """Return the number of strokes of each step."""
        return self.rows.shape[2] // self.num_steps

    def image(self) -> Tensor:
        """Return the finished canvas W_T [B C H W]."""
        return rank_one.image(self.rows, self.cols, self.canvas, self.fade_rows, self.fade_columns)

    def canvases(self, steps: Sequence[int] | None = None) -> Tensor:
        """Return the canvas after the given numbers of steps (default 1..T), [B S C H W]."""
        steps = rank_one.checked_steps(steps, self.num_steps)
        return rank_one.canvases(
            self.rows, self.cols, self.canvas, self.fade_rows, self.fade_columns,
            [step * self.per_step for step in steps],
        )  # fmt: skip

    def updates(self) -> Tensor:
        """Return what each step changed on the canvas [B T C H W]."""
        if self.fades or self.per_step > 1:
            return super().updates()
        return rank_one.updates(self.rows, self.cols)

    def without(self, steps: Collection[int]) -> Self:
        """Return the painting without what some steps write; what they fade still fades."""
        rows = self.rows.unflatten(2, (self.num_steps, self.per_step)).clone()
        rows[:, :, [step - 1 for step in steps]] = 0
        return replace(self, rows=rows.flatten(2, 3), left_out=self.left_out | {*steps})


# Instructions, W_0 or None, and what is left out -> the canvas after each step, W_1 to W_T.
Run = Callable[[Instructions, Tensor | None, Collection[int]], Iterator[Tensor]]


@dataclass(frozen=True, kw_only=True)
class ReplayedPainting(Painting):
    """A painting that is painted again, step by step, whenever it is looked at.

    Attributes:
        run: the learning rule's loop over steps.
    """

    run: Run

    def image(self) -> Tensor:
        """Return the finished canvas W_T [B C H W]."""
        return self.canvases([self.num_steps])[:, 0]

    def canvases(self, steps: Sequence[int] | None = None) -> Tensor:
        """Return the canvas after the given numbers of steps (default 1..T), [B S C H W]."""
        steps = rank_one.checked_steps(steps, self.num_steps)
        wanted, found = set(steps), []
        painted = self.run(self.instructions, self.canvas, self.left_out)
        for step, canvas in enumerate(islice(painted, max([1, *steps])), start=1):
            if step == 1:
                found.append(torch.zeros_like(canvas) if self.canvas is None else self.canvas)
            if step in wanted:
                found.append(canvas)
        return torch.stack(found, dim=1)[:, 0 if 0 in wanted else 1 :]

    def without(self, steps: Collection[int]) -> Self:
        """Return the painting that others make without these steps."""
        return replace(self, left_out=self.left_out | {*steps})


def shown_steps(num_steps: int, num_shown: int) -> list[int]:
    """Return up to `num_shown` step numbers of 1..T, evenly spread, the last being T."""
    num = min(num_shown, num_steps)
    return [round(num_steps * (index + 1) / num) for index in range(num)]
