"""Positions of pixels."""

import pytest
import torch

from fpainter.nn.positions import KINDS, GridPositions


@pytest.mark.parametrize("kind", KINDS)
def test_columns_first_then_rows(kind: str) -> None:
    positions = GridPositions(kind, (3, 5), 8)().view(3, 5, 8)
    columns, rows = positions.chunk(2, dim=2)
    torch.testing.assert_close(columns, columns[:1].expand_as(columns))
    torch.testing.assert_close(rows, rows[:, :1].expand_as(rows))
    assert len(columns[0].unique(dim=0)) == 5
    assert len(rows[:, 0].unique(dim=0)) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_any_size_of_vectors(kind: str) -> None:
    for d_position in (1, 2, 7):
        assert GridPositions(kind, (4, 4), d_position)().shape == (16, d_position)


def test_linear_positions_are_opposite_on_opposite_sides() -> None:
    positions = GridPositions("linear", (4, 6), 6)()
    torch.testing.assert_close(positions, -positions.flip(0))


def test_kinds_are_named() -> None:
    with pytest.raises(ValueError, match="positions must be one of"):
        GridPositions("sine", (4, 4), 8)
