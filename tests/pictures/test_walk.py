"""Walks pass the images they are told to pass, and keep to likely latents."""

import math

import pytest
import torch

from fpainter.generators.sampler import Sampler
from fpainter.nn.image_range import ImageRange
from fpainter.pictures.selection import Selection, edited
from fpainter.pictures.walk import (
    interpolate,
    training_walk,
    walk_images,
    walk_latents,
)
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
    for frames_between in (-1, "x", 1.5, True):
        with pytest.raises(ValueError, match=f"at least 0; got {frames_between}"):
            walk_latents(torch.randn(2, 4), frames_between)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one of spherical, linear; got round"):
        walk_latents(torch.randn(2, 4), 3, "round")


def trained(seed: int) -> Sampler:
    torch.manual_seed(seed)
    return Sampler(painter().eval().requires_grad_(False), ImageRange("signed"))


def test_a_walk_through_training_passes_every_painter_with_the_same_latents() -> None:
    samplers = [trained(seed) for seed in range(3)]
    before = [{k: v.clone() for k, v in s.generator.state_dict().items()} for s in samplers]
    selection = Selection(samplers[0], seed=1, indices=(7, 2, 5, 0, 1), batch_size=2)
    states = training_walk(iter(samplers), selection, 3)
    assert states.shape[:2] == (5, 9)
    for index, sampler in enumerate(samplers):
        assert torch.equal(states[:, 4 * index], sampler(selection.latents()))
        for name, tensor in sampler.generator.state_dict().items():
            assert torch.equal(tensor, before[index][name])


def test_between_painters_the_weights_are_mixed() -> None:
    start, end = trained(0), trained(1)
    selection = Selection(start, seed=1, indices=(0, 3))
    mixed = trained(2)
    first, last = start.generator.state_dict(), end.generator.state_dict()
    mixed.generator.load_state_dict({k: 0.75 * v + 0.25 * last[k] for k, v in first.items()})
    expected = mixed(selection.latents()).int()
    states = training_walk([start, end], selection, 3)
    assert (states[:, 1].int() - expected).abs().max() <= 1
    assert (states[:, 0].int() - expected).abs().max() > 1  # it is not that all look the same
    # A walk of painters without a step goes the same way.
    changed = [edited(each, drop_steps=[2]) for each in (start, end)]
    states = training_walk(changed, selection, 1)
    for index, sampler in ((0, changed[0]), (2, changed[1])):
        assert torch.equal(states[:, index], sampler(selection.latents()))
    whole = training_walk([start, end], selection, 1)
    assert (states != whole).flatten(2).any(dim=2).all()


def test_walks_through_training_that_cannot_be() -> None:
    selection = Selection(trained(0), seed=1, indices=(0,))
    with pytest.raises(ValueError, match="at least two checkpoints"):
        training_walk([trained(0)], selection, 3)
    with pytest.raises(ValueError, match="at least 0; got -1"):
        training_walk([trained(0), trained(1)], selection, -1)
