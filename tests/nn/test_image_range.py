"""Bytes to floats and back."""

import pytest
import torch

from fpainter.nn.image_range import ImageRange


@pytest.mark.parametrize(("name", "low"), [("unit", 0.0), ("signed", -1.0)])
def test_every_byte_comes_back(name: str, low: float) -> None:
    image_range = ImageRange(name)
    every = torch.arange(256, dtype=torch.uint8)
    floats = image_range.from_bytes(every)
    assert floats[0] == low
    assert floats[-1] == pytest.approx(1)
    assert torch.equal(image_range.to_bytes(floats), every)


def test_values_are_rounded_and_clamped() -> None:
    unit = torch.tensor([-0.5, 0.0, 0.9 / 255, 254.6 / 255, 1.01, 7.0])
    assert ImageRange("unit").to_bytes(unit).tolist() == [0, 0, 1, 255, 255, 255]
