from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fpainter.evaluation.protocols import PROTOCOLS, flatten_alpha, get_protocol
from tests.evaluation.toys import random_images


def test_png_changes_nothing() -> None:
    images = random_images(2, 0)
    assert torch.equal(get_protocol("png").apply(images), images)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [24, 256])
def test_paper_equals_saving_as_jpg_and_reading_back(
    tmp_path: Path, channels: int, size: int
) -> None:
    save_image = pytest.importorskip("torchvision.utils").save_image
    images = random_images(3, 0, channels, size)
    treated = get_protocol("paper").apply(images)
    assert treated.shape == images.shape
    assert not torch.equal(treated, images)
    for image, result in zip(images, treated, strict=True):
        path = tmp_path / "image.jpg"
        save_image(image / 255, path)
        with Image.open(path) as file:
            read = np.array(file.convert("RGB"))
        expected = torch.from_numpy(read).permute(2, 0, 1)
        assert torch.equal(result.expand(3, -1, -1), expected)


def test_alpha_is_put_on_white() -> None:
    images = torch.tensor([10, 20, 30, 0, 10, 20, 30, 255, 0, 100, 255, 128], dtype=torch.uint8)
    flat = flatten_alpha(images.reshape(3, 4, 1, 1)).flatten(1).tolist()
    assert flat == [[255, 255, 255], [10, 20, 30], [127, 177, 255]]


def test_paper_flattens_rgba_first() -> None:
    images = random_images(2, 0, channels=4, size=16)
    paper = get_protocol("paper")
    assert torch.equal(paper.apply(images), paper.apply(flatten_alpha(images)))


def test_empty_batch_stays_empty() -> None:
    for protocol in PROTOCOLS.values():
        assert len(protocol.apply(random_images(1, 0)[:0])) == 0


def test_unknown_name_tells_the_allowed_ones() -> None:
    with pytest.raises(ValueError, match="unknown protocol 'jpg'; allowed: png, paper"):
        get_protocol("jpg")


def test_floats_and_odd_shapes_are_errors() -> None:
    with pytest.raises(TypeError, match="must be uint8"):
        get_protocol("png").apply(torch.zeros(1, 3, 4, 4))
    with pytest.raises(ValueError, match=r"\(1, 2, 4, 4\)"):
        get_protocol("paper").apply(torch.zeros(1, 2, 4, 4, dtype=torch.uint8))
