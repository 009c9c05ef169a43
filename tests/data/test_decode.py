"""Any picture to a uint8 array of one size."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image
from torchvision import transforms

from fpainter.data.decode import render
from fpainter.nn.sizes import as_size


def noise(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    shape = (height, width) if mode == "L" else (height, width, len(mode))
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


def through_file(image: Image.Image, kind: str, **options: Any) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return Image.open(io.BytesIO(buffer.getvalue()))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
@pytest.mark.parametrize(
    "size", [(178, 218), (218, 178), (33, 100), (7, 5), (64, 64), (32, 47), (1, 3), (101, 35)]
)
@pytest.mark.parametrize("target", [32, 33])
def test_square_equals_torchvision(mode: str, size: tuple[int, int], target: int) -> None:
    image = noise(*size, mode)
    reference = transforms.Compose([transforms.Resize(target), transforms.CenterCrop(target)])
    expected = np.asarray(reference(image)).reshape(target, target, len(mode)).transpose(2, 0, 1)
    result = render(image, (target, target), len(mode))
    assert result.dtype == np.uint8
    assert result.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("size", [(50, 50), (100, 20), (20, 100), (31, 17)])
@pytest.mark.parametrize("target", [(16, 24), (24, 16), (7, 40)])
def test_not_square_covers_and_crops_the_centre(
    size: tuple[int, int], target: tuple[int, int]
) -> None:
    # A white picture: had it not covered the target, the crop would have black borders.
    assert (render(Image.new("L", size, 255), target, 1) == 255).all()
    # A mark in the centre stays there.
    ramp = np.abs(np.arange(size[0]) - (size[0] - 1) / 2)[None, :].repeat(size[1], 0)
    columns = render(Image.fromarray(np.rint(ramp).astype(np.uint8)), target, 1)[0, 0].astype(int)
    assert np.abs(columns - columns[::-1]).max() <= 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(kind: str, orientation: int) -> None:
    # Four quadrants: which grey is at top left, top right, bottom left and bottom right.
    pixels = np.kron(np.array([[20, 90], [160, 230]], np.uint8), np.ones((16, 16), np.uint8))
    exif = Image.Exif()
    stored = transpose_by_hand(pixels, orientation)
    exif[0x0112] = orientation
    image = through_file(Image.fromarray(stored).convert("RGB"), kind, exif=exif)
    upright = render(image, (2, 2), 1)[0].astype(int)
    # The bilinear filter mixes the quadrants a little, so only their order is compared.
    assert list(np.argsort(upright.ravel())) == [0, 1, 2, 3]


def transpose_by_hand(upright: np.ndarray, orientation: int) -> np.ndarray:
    """Store `upright` so that a viewer obeying `orientation` (EXIF 2.3, tag 274) sees it again.

    The tag says where the stored row 0 and column 0 are in the upright picture.
    """
    row0, column0 = {
        1: ("top", "left"),
        2: ("top", "right"),
        3: ("bottom", "right"),
        4: ("bottom", "left"),
        5: ("left", "top"),
        6: ("right", "top"),
        7: ("right", "bottom"),
        8: ("left", "bottom"),
    }[orientation]
    stored = upright.T if row0 in ("left", "right") else upright
    if row0 in ("bottom", "right"):
        stored = stored[::-1]
    if column0 in ("bottom", "right"):
        stored = stored[:, ::-1]
    return np.ascontiguousarray(stored)


def test_broken_exif_keeps_the_picture() -> None:
    good = through_file(Image.new("RGB", (8, 8), (200, 0, 0)), "PNG")
    good.info["exif"] = b"Exif\x00\x00garbage"
    assert render(good, (4, 4), 3)[0].min() == 200


def test_cmyk_jpeg() -> None:
    image = through_file(Image.new("CMYK", (20, 20), (255, 0, 0, 0)), "JPEG", quality=95)
    assert image.mode == "CMYK"
    np.testing.assert_allclose(render(image, (8, 8), 3)[:, 4, 4], [0, 255, 255], atol=4)
    np.testing.assert_allclose(render(image, (8, 8), 4)[:, 4, 4], [0, 255, 255, 255], atol=4)
    assert render(image, (8, 8), 1).shape == (1, 8, 8)


def test_transparency_is_over_white_or_kept() -> None:
    clear_black = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert (render(clear_black, (4, 4), 3) == 255).all()
    assert (render(clear_black, (4, 4), 1) == 255).all()
    assert (render(clear_black, (4, 4), 4) == 0).all()
    half_red = render(Image.new("RGBA", (8, 8), (255, 0, 0, 128)), (4, 4), 3)[:, 0, 0]
    np.testing.assert_allclose(half_red, [255, 127, 127], atol=1)
    assert (render(Image.new("LA", (8, 8), (0, 0)), (4, 4), 3) == 255).all()


def test_palette_with_and_without_transparency() -> None:
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    opaque = through_file(palette, "PNG")
    clear = through_file(palette, "PNG", transparency=1)
    assert (opaque.mode, clear.mode) == ("P", "P")
    assert render(opaque, (4, 4), 3)[:, 0, 0].tolist() == [10, 200, 30]
    assert render(opaque, (4, 4), 4)[:, 0, 0].tolist() == [10, 200, 30, 255]
    assert (render(clear, (4, 4), 3) == 255).all()
    assert (render(clear, (4, 4), 4)[3] == 0).all()


def test_16_bit_is_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 16).astype(np.uint16)[None].repeat(16, 0)
    image = through_file(Image.fromarray(ramp), "PNG")
    assert image.mode == "I;16"
    expected = np.rint(ramp / 257).astype(np.uint8)
    np.testing.assert_array_equal(render(image, (16, 16), 1)[0], expected)
    np.testing.assert_array_equal(render(image, (16, 16), 3)[2], expected)
    wide = Image.fromarray(ramp.astype(np.int32))
    assert wide.mode == "I"
    np.testing.assert_array_equal(render(wide, (16, 16), 1)[0], expected)


@pytest.mark.parametrize(
    ("low", "high", "darkest", "brightest"),
    [
        (0.25, 1.0, 64, 255),
        (0, 200.0, 0, 200),
        (-3.0, 5.0, 0, 255),
        (0, 1e6, 0, 255),
        (7e3, 7e3, 0, 0),
    ],
)
def test_float_samples(low: float, high: float, darkest: int, brightest: int) -> None:
    ramp = np.linspace(low, high, 16, dtype=np.float32)[None].repeat(16, 0)
    result = render(through_file(Image.fromarray(ramp), "TIFF"), (16, 16), 1)
    assert (result.min(), result.max()) == (darkest, brightest)


def test_float_samples_must_be_finite() -> None:
    image = Image.fromarray(np.full((4, 4), np.nan, np.float32))
    with pytest.raises(ValueError, match="NaN"):
        render(image, (4, 4), 1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "YCbCr", "HSV", "RGBX", "P", "PA", "LAB"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_mode_gives_every_channel_count(mode: str, channels: int) -> None:
    result = render(Image.new(mode, (9, 7)), (4, 6), channels)
    assert result.shape == (channels, 4, 6)


def test_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ((255, 0, 0), (0, 255, 0))]
    image = through_file(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert getattr(image, "n_frames", 1) == 2
    assert render(image, (4, 4), 3)[:, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_truncated_file_raises(kind: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    noise(64, 64).save(buffer, kind)
    image = Image.open(io.BytesIO(buffer.getvalue()[: len(buffer.getvalue()) // 2]))
    with pytest.raises(OSError, match="truncated"):
        render(image, (8, 8), 3)


def test_decompression_bomb_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 150)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = through_file(noise(16, 16), "PNG")
    with pytest.raises(Image.DecompressionBombError, match="16×16"):
        render(image, (4, 4), 3)


def test_thin_picture_that_would_explode_is_an_error() -> None:
    with pytest.raises(Image.DecompressionBombError, match="narrow"):
        render(Image.new("L", (1, 60_000)), (256, 256), 3)


def test_channels_must_be_1_3_or_4() -> None:
    with pytest.raises(ValueError, match=r"channels must be 1 .* got 2"):
        render(noise(4, 4), (4, 4), 2)


def test_as_size() -> None:
    assert as_size(32) == (32, 32)
    assert as_size([16, 24]) == (16, 24)
    assert as_size((16, 24)) == (16, 24)
    assert as_size(OmegaConf.create([16, 24])) == (16, 24)


@pytest.mark.parametrize("bad", [0, -1, True, 2.0, "32", None, [32], [1, 2, 3], [0, 4], ["a", "b"]])
def test_as_size_refuses(bad: Any) -> None:
    with pytest.raises(ValueError, match="image_size must be a whole number or"):
        as_size(bad)
