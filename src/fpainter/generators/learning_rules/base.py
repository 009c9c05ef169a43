"""What a learning rule is: what it orders from the slow net, and what a step does to the canvas."""

from collections.abc import Callable, Collection, Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fpainter.generators.painting import (
    Instructions,
    Order,
    Painting,
    ReplayedPainting,
    StrokePainting,
)
from fpainter.ops import closed_form
from fpainter.ops.precision import widen
from fpainter.ops.strokes import Factors, Strokes

KEY = Order("key", "columns", "softmax")
VALUE = Order("value", "rows")
RATE = Order("rate", "scalar", "sigmoid", patterned=False)


class LearningRule(nn.Module):
    """Instructions and a canvas in, a painting out.

    A rule says what it orders and what one step does, in the paper's letters. That is enough. If
    it is a program of strokes (see `fpainter.ops.strokes`), it says so in `strokes`, and is run
    without a loop over steps; if it has another closed form, it overrides `factors`.

    Attributes:
        orders: what the head writes for a step. Those that most rules share come first, in the
            order key, value, rate.
        page: what paints by it in the browser, of `RULES` in viewer/paint.js: ``strokes`` runs the
            program. It holds for the class that says it, since subclasses may take other steps.
        equation: one step, in LaTeX.
        source: where it comes from.
        anywhere: whether a picture can be looked at between its pixels. It can if what is written
            at a column depends on nothing but the orders for that column.
        one_rate: whether a step must have one rate, and not one for each row.
    """

    orders: tuple[Order, ...] = (KEY, VALUE, RATE)
    page: ClassVar[str] = "strokes"
    equation: ClassVar[str] = ""
    source: ClassVar[str] = ""
    anywhere: ClassVar[bool] = True
    one_rate: ClassVar[bool] = False

    def step(self, canvas: Tensor, *args: Any, **orders: Any) -> Tensor:
        """Return the canvas [B C H W] after one step, given the orders by name [B C (repeat) *]."""
        raise NotImplementedError(f"{type(self).__name__} does not say what a step does")

    def stepper(self) -> Callable[..., Tensor]:
        """Return what takes the steps of one painting, one after the other.

        It is `step`, unless a rule remembers more than the canvas: then a function with the
        arguments of `step` and a memory that is empty at first.
        """
        return self.step

    def strokes(self, *args: Any, **orders: Any) -> Strokes | None:
        """Return all steps as a program, given the orders by name [B C T (repeat) *]."""
        return None

    def factors(self, instructions: Instructions, canvas: Tensor | None) -> Factors | None:
        """Return all steps as rank-1 factors; None: there is no closed form."""
        strokes = self.strokes(**self.applied(instructions, canvas))
        if strokes is None:
            return None
        rows = closed_form.program(*strokes[:-1], canvas)
        return Factors(rows, strokes.write, strokes.fade_rows, strokes.fade_columns)

    def applied(self, instructions: Instructions, canvas: Tensor | None) -> Instructions:
        """Return the instructions as they are followed on this canvas; None is an empty one."""
        del canvas
        return instructions

    def forward(
        self,
        instructions: Instructions,
        canvas: Tensor | None = None,
        there: Instructions | None = None,
    ) -> Painting:
        """Paint.

        Args:
            instructions: of each order, by name [B C T *], or [B C T repeat *]; [B 1 T *] where all
                channels share it.
            canvas: W_0 [B C H W]; None means zeros.
            there: the same orders at other rows and columns, where the picture is looked at; the
                canvas must be empty, and the rule must be so `anywhere`.
        """
        shown = instructions if there is None else there
        common: dict[str, Any] = {"orders": self.orders, "instructions": shown, "canvas": canvas}
        with torch.autocast(shown[self.orders[0].name].device.type, enabled=False):
            wide, canvas = {name: widen(x) for name, x in instructions.items()}, widen(canvas)
            factors = (
                self.factors(wide, canvas)
                if there is None
                else self._factors_at(wide, {name: widen(x) for name, x in there.items()})
            )
        if factors is not None:
            return StrokePainting(**common, **factors._asdict())
        return ReplayedPainting(run=self.run, **common)

    def _factors_at(self, here: Instructions, there: Instructions) -> Factors | None:
        """Return the factors at other rows and columns.

        Rows do not mix when columns are read, and there may be any of them. What is read are sums
        over columns, which are those of here.
        """
        of_columns = {order.name for order in self.orders if order.axis == "columns"}
        painted = {name: here[name] if name in of_columns else there[name] for name in here}
        strokes = self.strokes(**self.applied(painted, None))
        seen = self.strokes(**self.applied(there, None))
        if strokes is None or seen is None:
            return None
        rows = closed_form.program(*strokes[:-1])
        return Factors(rows, seen.write, strokes.fade_rows, seen.fade_columns)

    def run(
        self, instructions: Instructions, canvas: Tensor | None, left_out: Collection[int] = ()
    ) -> Iterator[Tensor]:
        """Yield the canvas [B C H W] after each step, as `step` has it; slow and always right.

        Args:
            instructions: as for `forward`.
            canvas: W_0; None means zeros.
            left_out: steps, numbers in 1..T, that leave the canvas as it is.
        """
        orders = {name: widen(x) for name, x in self.applied(instructions, canvas).items()}
        canvas = self._empty(orders) if canvas is None else widen(canvas)
        step = self.stepper()
        for t in range(orders[self.orders[0].name].shape[2]):
            if t + 1 not in left_out:
                with torch.autocast(canvas.device.type, enabled=False):
                    canvas = step(canvas, **{name: x[:, :, t] for name, x in orders.items()})
            yield canvas

    def key_factor(self, height: float, width: float) -> float:
        """Return by which interpolated keys are multiplied, and values divided, in growing.

        ``W k`` is a sum over more columns, and most rules want it as it was.

        Args:
            height: the new height over the old one.
            width: the same of widths.
        """
        del height
        return width**-0.5

    def _empty(self, instructions: Instructions) -> Tensor:
        """Return an empty canvas of the size that the instructions are for."""
        shapes = [instructions[order.name].shape for order in self.orders]
        sides = {order.axis: instructions[order.name].shape[-1] for order in self.orders}
        some = instructions[self.orders[0].name]
        return some.new_zeros(
            shapes[0][0], max(shape[1] for shape in shapes), sides["rows"], sides["columns"]
        )


def read(canvas: Tensor, key: Tensor) -> Tensor:
    """Return the canvas's answer ``W k`` [B C H] to a key [B C W]."""
    return (canvas @ key.unsqueeze(-1))[..., 0]


def outer(value: Tensor, key: Tensor) -> Tensor:
    """Return ``v k^T`` [B C H W] of a value [B C H] and a key [B C W]."""
    return value.unsqueeze(-1) * key.unsqueeze(-2)
