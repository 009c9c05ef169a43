"""Painting at other sizes: one picture, seen at more or fewer places."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fpainter.generators.any_size import AnySizePainter
from fpainter.generators.canvas import LearnedCanvas
from fpainter.generators.instruction_head import InstructionHead
from fpainter.generators.learning_rules import DeltaRule, LearningRule, OjaRule
from fpainter.generators.learning_rules.column_fade import ColumnFadeRule
from fpainter.generators.learning_rules.coupled import CoupledRule
from fpainter.generators.learning_rules.delta_product import DeltaProductRule
from fpainter.generators.learning_rules.erase_write import EraseWriteRule
from fpainter.generators.learning_rules.frame_fade import FrameFadeRule
from fpainter.generators.learning_rules.over import OverRule
from fpainter.generators.learning_rules.recursive import RecursiveRule
from fpainter.generators.learning_rules.removal import RemovalRule
from fpainter.generators.learning_rules.smudge import SmudgeRule
from fpainter.generators.learning_rules.veil import VeilRule
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.view import View
from fpainter.generators.written import written_painter

HEIGHT, WIDTH, STEPS = 6, 8, 5
RULES: list[LearningRule] = [
    DeltaRule(), DeltaRule("one", "normalised"), DeltaRule(step_size="implicit"), ColumnFadeRule(),
    CoupledRule(), DeltaProductRule(), EraseWriteRule(), FrameFadeRule(), OverRule(), RemovalRule(),
    SmudgeRule(), VeilRule(),
]  # fmt: skip


def painter(rule: LearningRule, basis: str = "cosine", **head: str | int) -> FastWeightPainter:
    """Return a painter of two pictures whose numbers are random."""
    torch.manual_seed(0)
    made = InstructionHead(1, (HEIGHT, WIDTH), 2, rule, basis=basis, **head)  # type: ignore[arg-type]
    return written_painter(2, STEPS, made, rule, gain=0.8).double()


def seen(made: FastWeightPainter, *view: object) -> Tensor:
    z = torch.eye(2, dtype=torch.float64)
    return AnySizePainter(made, View.of(*view))(z).detach()  # type: ignore[arg-type]


def plain(made: FastWeightPainter) -> Tensor:
    return made(torch.eye(2, dtype=torch.float64)).detach()


@pytest.mark.parametrize("basis", ["cosine", "pixels"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_at_the_trained_size_nothing_changes(rule: LearningRule, basis: str) -> None:
    made = painter(rule, basis)
    torch.testing.assert_close(seen(made, (HEIGHT, WIDTH)), plain(made), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("basis", ["cosine", "pixels"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_an_odd_multiple_holds_the_trained_pixels(rule: LearningRule, basis: str) -> None:
    """The middle one of every three pixels lies where a pixel was."""
    made = painter(rule, basis)
    larger = seen(made, (3 * HEIGHT, 3 * WIDTH))
    torch.testing.assert_close(larger[:, :, 1::3, 1::3], plain(made), rtol=1e-6, atol=1e-6)
    assert (larger[:, :, ::3, ::3] - plain(made)).abs().max() > 1e-3


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_a_window_is_cut_out(rule: LearningRule) -> None:
    made = painter(rule)
    whole = seen(made, (40, 40))
    part = seen(made, (10, 20), (0.5, 0.25, 0.75, 0.75))
    torch.testing.assert_close(part, whole[:, :, 20:30, 10:30])


def test_smaller_pictures_are_averages() -> None:
    """Exactly so for the delta rule: what a row writes is linear in its values."""
    made = painter(DeltaRule())
    smaller = seen(made, (HEIGHT // 2, WIDTH // 2))
    torch.testing.assert_close(smaller, F.avg_pool2d(plain(made), 2), rtol=1e-6, atol=1e-6)


def test_brightness_stays_and_steps_can_be_seen() -> None:
    made = painter(DeltaRule())
    larger = AnySizePainter(made, View.of((60, 100)))
    painting = larger.paint(torch.eye(2, dtype=torch.float64))
    assert painting.canvases([2, 4]).shape == (2, 2, 2, 60, 100)
    assert painting.along("columns").shape == (2, 2, STEPS, 100)
    averages = painting.image().mean(dim=(2, 3))
    torch.testing.assert_close(averages, plain(made).mean(dim=(2, 3)), rtol=0.1, atol=0.02)


def test_row_rates_are_interpolated() -> None:
    made = painter(DeltaRule(), rate="row")
    torch.testing.assert_close(
        seen(made, (3 * HEIGHT, WIDTH))[:, :, 1::3], plain(made), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize(
    ("rule", "words"), [(OjaRule(), "OjaRule is written"), (RecursiveRule(), "RecursiveRule is")]
)
def test_rules_that_cannot_are_refused(rule: LearningRule, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AnySizePainter(painter(rule), View.of(9))


def test_a_learned_canvas_is_refused() -> None:
    made = painter(DeltaRule())
    made.canvas = LearnedCanvas((HEIGHT, WIDTH), 2)
    with pytest.raises(ValueError, match="begins with a learned canvas"):
        AnySizePainter(made, View.of(9))


@pytest.mark.parametrize("window", [[0, 0, 1], [0, 0, 1, 1.5], [0.5, 0, 0.5, 1], [0, 0, 1, "1"]])
def test_windows_are_checked(window: list[float]) -> None:
    with pytest.raises(ValueError, match=r"must be \[top,left,bottom,right\]"):
        View.of(8, window)
