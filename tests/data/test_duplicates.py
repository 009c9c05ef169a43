"""Pictures that come twice are found, and others are not."""

import io

import numpy as np
import pytest
from PIL import Image

from fpainter.data.decode import render
from fpainter.data.duplicates import NEAR, difference_hash, exact_hash, nearly_same, same
from fpainter.data.portraits import Portraits


def hashed(*pictures: Image.Image) -> np.ndarray:
    return np.stack([difference_hash(render(p, (64, 64), 3)) for p in pictures])


def bits(hashes: np.ndarray) -> int:
    return int(np.bitwise_count(hashes[0] ^ hashes[1]).sum())


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue()))


@pytest.mark.parametrize("index", range(4))
def test_another_size_quality_or_brightness_is_nearly_the_same(index: int) -> None:
    image = Portraits(9).open(index)
    darker = image.point(lambda value: round(value * 0.9))
    for other in (image.resize((100, 100)), jpeg(image, 60), darker):
        assert bits(hashed(image, other)) <= NEAR
    assert bits(hashed(image, Portraits(9).open(index + 4))) > NEAR
    assert bits(hashed(image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))) > NEAR


def test_the_hash_says_where_brightness_falls() -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 17 * 4), (1, 64, 68)).astype(np.uint8)
    assert np.unpackbits(difference_hash(ramp)).all()
    assert not difference_hash(ramp[..., ::-1]).any()
    assert not difference_hash(np.full((3, 20, 20), 7, np.uint8)).any()


def test_exact_hashes_are_of_pixels_and_shapes() -> None:
    pixels = np.arange(24, dtype=np.uint8)
    shapes = [(1, 4, 6), (1, 6, 4), (1, 4, 6)]
    assert same(exact_hash(pixels.reshape(shape)) for shape in shapes) == [[0, 2]]


@pytest.mark.parametrize("distance", [0, 3, NEAR])
def test_all_pairs_are_found(distance: int) -> None:
    """As by comparing each hash with each other one."""
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 256, (20, 32), np.uint8)
    hashes = centres[rng.integers(0, 20, 200)]
    for each in hashes:
        flips = rng.choice(256, rng.integers(0, 12), replace=False)
        each ^= np.packbits(np.isin(np.arange(256), flips))
    differing = np.bitwise_count(hashes[:, None] ^ hashes[None]).sum(axis=2) <= distance
    while not np.array_equal(differing, connected := differing @ differing):
        differing = connected
    expected = {tuple(np.flatnonzero(row)) for row in differing if row.sum() > 1}
    found = nearly_same(hashes, distance)
    assert {tuple(group) for group in found} == expected
    assert len(found) == len(expected)


def test_a_thousand_empty_pictures_are_one_group() -> None:
    assert nearly_same(np.zeros((1000, 32), np.uint8)) == [list(range(1000))]
    assert nearly_same(np.zeros((1, 32), np.uint8)) == []
