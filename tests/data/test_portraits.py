"""The drawn portraits: reproducible, varied, and centred."""

import pickle
from typing import Any

import numpy as np
import pytest

from fpainter.data.decode import render
from fpainter.data.portraits import Portraits


def pixels(source: Portraits, count: int, side: int = 32) -> np.ndarray:
    return np.stack([render(source.open(index), (side, side), 3) for index in range(count)])


def test_same_seed_same_pictures() -> None:
    first, second = Portraits(8, seed=3), pickle.loads(pickle.dumps(Portraits(8, seed=3)))
    np.testing.assert_array_equal(pixels(first, 8, 256), pixels(second, 8, 256))
    # A portrait does not depend on those before it, nor on how many there are.
    alone = np.asarray(Portraits(9, seed=3).open(7))
    np.testing.assert_array_equal(alone, np.asarray(first.open(7)))


def test_every_index_and_seed_is_another_picture() -> None:
    both = np.concatenate([pixels(Portraits(30), 30), pixels(Portraits(30, seed=1), 30)])
    assert len(np.unique(both.reshape(60, -1), axis=0)) == 60


def test_fingerprint_names_what_the_pictures_depend_on() -> None:
    prints = [Portraits(8).fingerprint(), Portraits(9).fingerprint(), Portraits(8, 1).fingerprint()]
    assert len(set(prints)) == 3
    assert len(prints[0]) == 64
    assert Portraits(8).fingerprint() == prints[0]


def test_pictures_look_like_portraits() -> None:
    images = pixels(Portraits(200), 200).astype(float)
    # Varied everywhere: background, clothes, face.
    assert np.min(images.std(axis=0)) > 15
    # No corner of the upper half is ever hair or skin, so the heads are in the middle.
    assert (images[:, :, 0, 0].max(axis=1) > 180).all()
    # On the whole symmetric; parted hair and the light in the eyes are not.
    mean = images.mean(axis=0)
    assert np.abs(mean - mean[:, :, ::-1]).mean() < 4
    # Eyes: white beside dark, in both halves of each face at 32×32.
    grey = images.mean(axis=1)
    for half in (grey[:, 14:20, 9:15], grey[:, 14:20, 17:23]):
        contrast = half.max(axis=(1, 2)) - half.min(axis=(1, 2))
        assert np.quantile(contrast, 0.05) > 50


def test_open_gives_256_pixels_and_label_a_name() -> None:
    source = Portraits(3)
    assert source.open(2).size == (256, 256)
    assert source.open(2).mode == "RGB"
    assert source.title(2) == "portrait 000002"
    assert len(source) == 3
    assert source.name == "portraits"


@pytest.mark.parametrize("index", [3, -1])
def test_index_out_of_range(index: int) -> None:
    with pytest.raises(IndexError, match="of 3"):
        Portraits(3).open(index)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_images": 0}, "num_images must be an int ≥ 1, got 0"),
        ({"num_images": 2.5}, "num_images must be"),
        ({"seed": -1}, "seed must be an int ≥ 0, got -1"),
        ({"seed": True}, "seed must be"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Portraits(**arguments)
