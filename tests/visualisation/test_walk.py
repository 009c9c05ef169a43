"""Walks pass the images they are told to pass, and keep to likely latents."""

import math

import pytest
import torch

from fpainter.generators.sampler import Sampler
from fpainter.nn.image_range import ImageRange
from fpainter.visualisation.selection import Selection
from fpainter.visualisation.walk import interpolate, walk_images, walk_latents
from tests.training.toys import painter


@pytest.mark.parametrize("path", ["spherical", "linear"])
def test_a_walk_passes_the_chosen_images_in_turn(path: str) -> None:
    sampler = Sampler(painter(), ImageRange("signed"))
    selection = Selection(sampler, seed=1, indices=(7, 2, 5), batch_size=4)
    images = walk_images(selection, 3, path)
    assert len(images) == 12
    assert torch.equal(images[::4], sampler(selection.latents()))
    assert torch.equal(walk_images(selection, 0, path), images[::4])


def test_a_walk_is_closed() -> None:
    stations = torch.randn(3, 6)
    z = walk_latents(stations, 1, "linear")
    torch.testing.assert_close(z[5], (stations[2] + stations[0]) / 2)


def test_spherical_paths_keep_the_norm_and_an_even_pace() -> None:
    start, end = torch.randn(2, 64, dtype=torch.float64)
    end = end * start.norm() / end.norm()
    z = interpolate(start, end, torch.linspace(0, 1, 9, dtype=torch.float64))
    torch.testing.assert_close(z.norm(dim=1), start.norm().expand(9))
    torch.testing.assert_close(z[[0, -1]], torch.stack([start, end]))
    paces = (z.diff(dim=0)).norm(dim=1)
    torch.testing.assert_close(paces, paces[:1].expand(8))
    straight = interpolate(start, end, torch.tensor([0.5]).double(), "linear")
    assert straight.norm() < 0.9 * start.norm()


def test_lengths_change_evenly() -> None:
    z = interpolate(torch.tensor([2.0, 0]), torch.tensor([0, 4.0]), torch.tensor([0.5]))
    torch.testing.assert_close(z, torch.tensor([[3 / math.sqrt(2), 3 / math.sqrt(2)]]))


def test_where_there_is_no_arc() -> None:
    z = torch.randn(5)
    shares = torch.tensor([0.0, 0.25, 1.0])
    torch.testing.assert_close(interpolate(z, z, shares), z.expand(3, 5))
    opposite = interpolate(z, -z, shares)
    torch.testing.assert_close(opposite[1], z / 2)
    assert opposite.isfinite().all()


def test_walks_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="at least two images"):
        walk_latents(torch.randn(1, 4), 3)
    with pytest.raises(ValueError, match="at least 0; got -1"):
        walk_latents(torch.randn(2, 4), -1)
    with pytest.raises(ValueError, match="one of spherical, linear; got round"):
        walk_latents(torch.randn(2, 4), 3, "round")
