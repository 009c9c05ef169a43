"""The distance to a picture."""

from typing import Any, cast

import pytest
import torch
from torch import Tensor

from fpainter.evaluation.likeness import Likeness
from fpainter.nn.image_range import ImageRange


class Colours:
    """Stands for Inception: its maps are the image's colours; none is like any other colour."""

    def maps(self, images: Tensor, num_stages: int) -> list[Tensor]:
        assert images.min() >= 0
        assert images.max() == 255
        return [images * (stage + 1) for stage in range(num_stages)]


@pytest.mark.parametrize(("name", "span"), [("signed", 2.0), ("unit", 1.0)])
def test_pixels_that_are_all_too_bright(name: str, span: float) -> None:
    target = torch.randint(0, 200, (3, 13, 9), dtype=torch.uint8)
    image_range = ImageRange(name)
    likeness = Likeness(target, image_range)
    image = image_range.from_bytes(target)
    shifted = torch.stack([image, image + 0.25 * span])
    torch.testing.assert_close(likeness(shifted), torch.tensor([0.0, 0.0625]))


def test_noise_matters_less_than_what_is_seen_from_afar() -> None:
    target = torch.full((1, 16, 16), 128, dtype=torch.uint8)
    signs = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 2.0 - 1
    noise = torch.stack([signs, signs.abs()])[:, None] * 0.5 + 128 / 255
    fine, coarse = Likeness(target, ImageRange("unit"))(noise).tolist()
    assert coarse == pytest.approx(0.25)
    assert fine == pytest.approx(0.25 / 3)  # of 16, 8 and 4 pixels, only the first sees it


def test_features_of_another_direction() -> None:
    red, green = torch.zeros(2, 3, 8, 8)
    red[0], green[1] = 1, 1
    network = cast(Any, Colours())
    target = (255 * red).to(torch.uint8)
    plain, both = (Likeness(target, ImageRange("unit"), *rest) for rest in ([], [network, 0.5]))
    images = torch.stack([red, green])
    features = both(images) - plain(images)
    torch.testing.assert_close(features, torch.tensor([0.0, 0.5 * 2]))
