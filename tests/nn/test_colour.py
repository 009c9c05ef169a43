"""Opponent colours against their matrix."""

import pytest
import torch

from fpainter.nn.colour import channel_names, from_rgb, to_rgb


def test_opponent_colours_are_a_rotation() -> None:
    rows = torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]], dtype=torch.float64)
    matrix = rows / rows.norm(dim=1, keepdim=True)
    canvas = torch.randn(2, 5, 3, 4, 6, dtype=torch.float64)
    rgb = to_rgb(canvas)
    torch.testing.assert_close(rgb, torch.einsum("oc,btohw->btchw", matrix, canvas))
    torch.testing.assert_close(from_rgb(rgb), canvas)
    torch.testing.assert_close(rgb.norm(dim=2), canvas.norm(dim=2))
    assert to_rgb(canvas, "rgb") is canvas


def test_channels_have_names() -> None:
    assert channel_names("rgb", 1) == ("grey",)
    assert channel_names("opponent", 3)[0] == "light"
    with pytest.raises(ValueError, match="'opponent' are not known for 4 channels"):
        channel_names("opponent", 4)
