"""Images, updates and canvases from the same factors."""

import pytest
import torch

from fpainter.ops import rank_one

ROWS, COLS = torch.randn(2, 3, 6, 4).double(), torch.randn(2, 3, 6, 5).double()
CANVAS = torch.randn(2, 3, 4, 5).double()


@pytest.mark.parametrize("canvas", [None, CANVAS], ids=["zero", "canvas"])
def test_canvases_are_running_sums_of_updates(canvas: torch.Tensor | None) -> None:
    updates = rank_one.updates(ROWS, COLS)
    assert updates.shape == (2, 6, 3, 4, 5)
    start = torch.zeros_like(CANVAS) if canvas is None else canvas
    expected = start.unsqueeze(1) + updates.cumsum(dim=1)
    torch.testing.assert_close(rank_one.canvases(ROWS, COLS, canvas), expected)
    torch.testing.assert_close(rank_one.image(ROWS, COLS, canvas), expected[:, -1])
    some = rank_one.canvases(ROWS, COLS, canvas, steps=[0, 2, 5])
    torch.testing.assert_close(some, torch.stack([start, expected[:, 1], expected[:, 4]], dim=1))


@pytest.mark.parametrize("canvas", [None, CANVAS], ids=["zero", "canvas"])
def test_no_steps_are_no_canvases(canvas: torch.Tensor | None) -> None:
    rows, cols = ROWS.clone().requires_grad_(), COLS.clone().requires_grad_()
    none = rank_one.canvases(rows, cols, canvas, steps=[])
    assert none.shape == (2, 0, 3, 4, 5)
    assert none.dtype == torch.float64
    for gradient in torch.autograd.grad(none.sum(), (rows, cols)):
        assert not gradient.any()


@pytest.mark.parametrize("steps", [[3, 2], [2, 2], [-1], [7]])
def test_impossible_steps_are_refused(steps: list[int]) -> None:
    with pytest.raises(ValueError, match=r"increase within 0\.\.6"):
        rank_one.canvases(ROWS, COLS, steps=steps)
