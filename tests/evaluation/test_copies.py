"""A painter that copies is told from one that does not."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from fpainter.evaluation.copies import Copies, Mirrored, find_copies
from tests.evaluation.toys import TinyExtractor, ToyImages, random_images, toy_features

NUM = 80


def look(
    cache: Path, painted: Tensor, images: ToyImages, num_held_back: int = 1000, k: int = 2
) -> Copies:
    features = toy_features(cache, batch_size=7)
    draw = lambda indices: painted[list(indices)]  # noqa: E731
    return find_copies(features, images, draw, len(painted), k, num_held_back)


def test_a_copy_is_found_mirrored_or_not(tmp_path: Path) -> None:
    images = ToyImages(NUM)
    painted = images.tensor[[5, 17, 60, 61]].clone()
    painted[1] = painted[1].flip(-1)
    copies = look(tmp_path, painted, images)
    assert copies.painted.number[:, 0].tolist() == [5, 17, 60, 61]
    assert copies.painted.mirrored[:, 0].tolist() == [False, True, False, False]
    assert copies.painted.distance[:, 0].max() < 1e-5 < copies.held_back.min()
    assert copies.percentile.tolist() == [0, 0, 0, 0]
    assert copies.verdict().startswith(
        "100.0 % of 4 samples are nearer to a training image than the nearest 1 % of 80 held-back "
        "reals are to another, and 100.0 % nearer than their median;"
    )


def test_new_images_are_as_far_as_held_back_reals(tmp_path: Path) -> None:
    copies = look(tmp_path, random_images(200, seed=9), ToyImages(NUM))
    assert copies.share(1) < 0.1
    assert 0.3 < copies.share(50) < 0.7
    nearest = copies.painted.distance[:, 0]
    assert [float(nearest[place]) for place in copies.order] == sorted(nearest.tolist())
    for place in copies.order[:20]:
        nearer = sum(real < nearest[place] for real in copies.held_back)
        assert float(copies.percentile[place]) == pytest.approx(100 * int(nearer) / NUM)


def test_held_back_reals_against_every_pair(tmp_path: Path) -> None:
    images, extractor = ToyImages(30), TinyExtractor()
    images.tensor[7] = images.tensor[2]  # a duplicate
    images.tensor[8] = images.tensor[9].flip(-1)
    straight, mirror = extractor(images.tensor), extractor(images.tensor.flip(-1))

    def nearest(i: int) -> float:
        others = [j for j in range(30) if j != i]
        return min(float((straight[i] - x[j]).norm()) for x in (straight, mirror) for j in others)

    expected = sorted(nearest(i) for i in range(30))
    copies = look(tmp_path, images.tensor[:3], images)
    assert copies.held_back.tolist() == pytest.approx(expected, abs=1e-5)
    assert copies.held_back[3] < 1e-5 < copies.held_back[4]
    few = look(tmp_path, images.tensor[:3], images, num_held_back=6).held_back
    assert len(few) == 6
    assert all(
        (copies.held_back - distance).abs().min() < 1e-9 for distance in few if distance > 1e-5
    )
    assert torch.equal(look(tmp_path, images.tensor[:3], images, 6).held_back, few)


def test_both_passes_over_the_reals_are_kept_apart_and_made_once(tmp_path: Path) -> None:
    images, extractor = ToyImages(12), TinyExtractor()
    features = toy_features(tmp_path, extractor)

    def find() -> Copies:
        return find_copies(features, images, images.batch, 3, 2, 5)

    first, calls = find(), extractor.calls
    assert calls == 3
    assert torch.equal(find().held_back, first.held_back)
    assert extractor.calls == calls + 1  # the painted ones alone
    torch.testing.assert_close(
        features.sample(Mirrored(images), 12), extractor(images.tensor.flip(-1))
    )
    torch.testing.assert_close(features.sample(images, 12), extractor(images.tensor))


def test_too_few_images(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 neighbours need at least 3 training images, got 2"):
        look(tmp_path, random_images(2, 1), ToyImages(2), k=3)
    with pytest.raises(ValueError, match="1 neighbours need at least 2 training images, got 1"):
        look(tmp_path, random_images(2, 1), ToyImages(1), k=1)
