"""Unfinished canvases that the discriminator judges."""

import pytest
import torch

from fpainter.generators.painting import StrokePainting
from fpainter.generators.supervision import Supervision
from tests.generators.paintings import painting_of

B, C, T, H, W = 2, 3, 7, 4, 5


def painting(with_canvas: bool) -> StrokePainting:
    rows, cols = torch.randn(B, C, T, H), torch.randn(B, C, T, W)
    canvas = torch.randn(B, C, H, W) if with_canvas else None
    return painting_of(rows, cols, canvas)


@pytest.mark.parametrize("with_canvas", [True, False])
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("n", [2, 3, 7])
def test_unfinished_canvases(n: int, scaled: bool, with_canvas: bool) -> None:
    made = painting(with_canvas)
    got = Supervision(num_canvases=n, scale_canvases=scaled).unfinished(made)
    assert got is not None
    expected = []
    for j in range(1, n):
        canvas = torch.zeros(B, C, H, W) if made.canvas is None else made.canvas.clone()
        for t in range(j * T // n + 1):  # one update later than the share says
            canvas += torch.einsum("bch,bcw->bchw", made.rows[:, :, t], made.cols[:, :, t])
        expected.append(canvas * n / j if scaled else canvas)
    torch.testing.assert_close(got, torch.cat(expected))


def test_a_finished_canvas_alone_needs_nothing_more() -> None:
    assert Supervision().unfinished(painting(False)) is None


def test_numbers_out_of_range() -> None:
    with pytest.raises(ValueError, match="num_canvases must be at least 1; got 0"):
        Supervision(num_canvases=0)
    with pytest.raises(ValueError, match="match_refined must not be negative; got -1"):
        Supervision(match_refined=-1)
