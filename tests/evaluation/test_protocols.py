from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from fpainter.errors import UserError
from fpainter.evaluation import features
from fpainter.evaluation.protocols import PROTOCOLS, Protocol, flatten_alpha, get_protocol
from tests.evaluation.toys import random_images


@pytest.mark.parametrize("name", ["png", "clean", "torch_fidelity"])
def test_all_but_paper_leave_the_bytes(name: str) -> None:
    images = random_images(2, 0)
    assert torch.equal(get_protocol(name).apply(images), images)


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
    with pytest.raises(
        ValueError, match="unknown protocol 'jpg'; allowed: png, paper, clean, torch_fidelity"
    ):
        get_protocol("jpg")


def test_floats_and_odd_shapes_are_errors() -> None:
    with pytest.raises(TypeError, match="must be uint8"):
        get_protocol("png").apply(torch.zeros(1, 3, 4, 4))
    with pytest.raises(ValueError, match=r"\(1, 2, 4, 4\)"):
        get_protocol("paper").apply(torch.zeros(1, 2, 4, 4, dtype=torch.uint8))


@pytest.mark.parametrize("name", ["png", "paper"])
@pytest.mark.parametrize("size", [24, 320])
def test_png_and_paper_prepare_as_pytorch_fid_to_the_bit(name: str, size: int) -> None:
    images = random_images(2, 0, size=size)
    unit = images.float() / 255
    resized = F.interpolate(unit, size=(299, 299), mode="bilinear", align_corners=False)
    assert torch.equal(get_protocol(name).prepare(images), 2 * resized - 1)


@pytest.mark.parametrize("size", [24, 320])
def test_clean_prepares_as_clean_fid(size: int) -> None:
    stripes = (torch.arange(size) // 3 % 2 * 255).to(torch.uint8).expand(1, 3, size, size)
    images = torch.cat([random_images(2, 0, size=size), stripes])
    prepared = get_protocol("clean").prepare(images)
    for result, channel in zip(prepared.flatten(0, 1), images.flatten(0, 1), strict=True):
        image = Image.fromarray(channel.float().numpy())
        resized = np.array(image.resize((299, 299), Image.Resampling.BICUBIC))
        expected = torch.from_numpy((resized.clip(0, 255) - 128) / 128)
        torch.testing.assert_close(result, expected, rtol=0, atol=5e-6)


@pytest.mark.parametrize("size", [24, 320])
def test_torch_fidelity_prepares_as_torch_fidelity(size: int) -> None:
    module = pytest.importorskip("torch_fidelity.interpolate_compat_tensorflow")
    images = random_images(2, 0, size=size)
    resized = module.interpolate_bilinear_2d_like_tensorflow1x(
        images.float(), size=(299, 299), align_corners=False
    )
    prepared = get_protocol("torch_fidelity").prepare(images)
    torch.testing.assert_close(prepared, (resized - 128) / 128, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("png", [-1, 1 / 255, 1]),
        ("paper", [-1, 1 / 255, 1]),
        ("clean", [-1, 0, 127 / 128]),
        ("torch_fidelity", [-1, 0, 127 / 128]),
    ],
)
def test_black_grey_and_white_of_any_size(name: str, values: list[float]) -> None:
    flat = torch.tensor([0, 128, 255], dtype=torch.uint8).reshape(3, 1, 1, 1)
    for shape in ((1, 1, 1), (3, 17, 40), (3, 310, 299)):
        prepared = get_protocol(name).prepare(flat.expand(-1, *shape))
        expected = torch.tensor(values).reshape(3, 1, 1, 1).expand(-1, 3, 299, 299)
        torch.testing.assert_close(prepared, expected)


def test_the_network_is_that_of_the_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: object, protocol: Protocol) -> None:
        raise UserError(f"asked for {protocol.name}")

    monkeypatch.setattr(features, "load_inception", load)
    with pytest.raises(UserError, match="asked for clean"):
        features.Features.load("clean", None, None, "cpu", 64, lambda *_: None)
