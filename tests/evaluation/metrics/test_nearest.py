import pytest
import torch
from torch import Tensor

from fpainter.evaluation.metrics.nearest import nearest_images


def features(num: int, seed: int, dim: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num, dim, generator=generator)


def by_definition(
    query: Tensor, images: Tensor, mirror_images: Tensor, k: int, own: int | None = None
) -> list[tuple[float, int, bool]]:
    def distance(other: Tensor) -> float:
        return float((query.double() - other.double()).square().sum().sqrt())

    pairs = [
        (distance(pair[0]), distance(pair[1])) for pair in zip(images, mirror_images, strict=True)
    ]
    all_images = [(min(pair), i, pair[1] < pair[0]) for i, pair in enumerate(pairs) if i != own]
    return sorted(all_images)[:k]


@pytest.mark.parametrize("chunk", [7, 1000])
@pytest.mark.parametrize("own", [None, [3, 20, 0, 29]])
def test_equals_the_definition_whatever_the_chunks(chunk: int, own: list[int] | None) -> None:
    images, mirror_images = features(30, 1) + 5, features(30, 2) + 5
    queries = features(4, 3) + 5 if own is None else images[own]
    numbers = None if own is None else torch.tensor(own)
    found = nearest_images(queries, images, mirror_images, 5, numbers, chunk)
    for m, query in enumerate(queries):
        expected = by_definition(query, images, mirror_images, 5, own[m] if own else None)
        distance, number, mirrored = (part[m].tolist() for part in found)
        assert number == [image[1] for image in expected]
        assert mirrored == [image[2] for image in expected]
        assert distance == pytest.approx([image[0] for image in expected], rel=1e-9)
    assert {*found.mirrored.flatten().tolist()} == {True, False}


@pytest.mark.parametrize("chunk", [2, 1000])
def test_copies_are_at_no_distance_and_duplicates_are_found_in_their_order(chunk: int) -> None:
    images = features(6, 1)
    images[4] = images[1]
    mirror_images = features(6, 2)
    found = nearest_images(torch.stack([images[1], mirror_images[5]]), images, mirror_images, 2)
    assert found.number[0].tolist() == [1, 4]
    assert found.number[1, 0] == 5
    assert found.mirrored[:, 0].tolist() == [False, True]
    assert found.distance[[0, 0, 1], [0, 1, 0]].max() < 1e-5
    # A held-back image finds its duplicate, and not itself.
    own = torch.tensor([1, 4])
    held_back = nearest_images(images[own], images, mirror_images, 1, own, chunk)
    assert held_back.number[:, 0].tolist() == [4, 1]


def test_an_image_as_near_as_its_mirror_image_is_not_mirrored() -> None:
    images = features(3, 1)
    assert not nearest_images(features(2, 2), images, images, 3).mirrored.any()


def test_bad_input_is_named() -> None:
    x = features(4, 1)
    with pytest.raises(ValueError, match=r"got \(4, 16\) and \(3, 16\)"):
        nearest_images(x, x, x[:3])
    with pytest.raises(ValueError, match=r"need features \[M 16\], got \(4, 5\)"):
        nearest_images(x[:, :5], x, x)
    with pytest.raises(ValueError, match="cannot find 5 neighbours among 4 images"):
        nearest_images(x, x, x, 5)
    with pytest.raises(ValueError, match="cannot find 4 neighbours among 3 images"):
        nearest_images(x, x, x, 4, own=torch.arange(4))
    with pytest.raises(ValueError, match="chunk must be at least 1, got 0"):
        nearest_images(x, x, x, chunk=0)
    with pytest.raises(ValueError, match="must be finite"):
        nearest_images(x, x, torch.full_like(x, torch.nan))
