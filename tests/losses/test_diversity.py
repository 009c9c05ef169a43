"""Fakes of different latents are kept apart."""

import math
from pathlib import Path

import pytest
import torch
from torch.nn.utils import parameters_to_vector

from fpainter.losses.diversity import ModeSeeking
from fpainter.training.phases import DiscriminatorPhase, GeneratorPhase
from tests.training.test_gan_module import Watch, fit, pytestmark
from tests.training.toys import gan

__all__ = ["pytestmark"]


def grey(*levels: float) -> torch.Tensor:
    """Images [B 3 2 2] of one value each."""
    return torch.tensor(levels).view(-1, 1, 1, 1).expand(-1, 3, 2, 2).clone()


def test_only_what_is_nearer_than_reals_counts() -> None:
    """By hand: reals are 1 and 1 apart, two thirds of which are enough."""
    reals = grey(0.0, 1.0)
    loss = ModeSeeking(weight=0.5, share=2 / 3)
    assert loss(grey(0.0, 0.8), reals).item() == 0.0
    near = loss(grey(0.0, 0.1), reals).item()
    assert near == pytest.approx(0.5 * math.log(2 / 3 / 0.1), rel=1e-5)
    # Of three fakes, at distances of 0.9 (the first to the last), 0.1 and 0.8, one is too near.
    uneven = loss(grey(0.0, 0.1, 0.9), grey(0.0, 0.75, 1.5)).item()
    assert uneven == pytest.approx(0.5 * math.log(2 / 3 / 0.1) / 3, rel=1e-5)


def test_several_fakes_of_a_latent_are_no_twins() -> None:
    """Canvases of one painting, after some steps and after all, may be alike."""
    reals, loss = grey(0.0, 1.0), ModeSeeking()
    assert loss(grey(0.0, 1.0, 0.0, 1.0), reals).item() == 0.0
    assert loss(grey(0.0, 0.0, 1.0, 1.0), reals).item() > 1


def test_the_nearer_the_harder_they_are_pushed() -> None:
    loss, forces = ModeSeeking(), []
    for distance in (0.3, 0.03):
        fakes = grey(0.0, distance).requires_grad_()
        loss(fakes, grey(0.0, 1.0)).backward()
        assert fakes.grad is not None
        assert bool((fakes.grad[0] > 0).all())
        assert bool((fakes.grad[1] < 0).all())
        forces.append(float(fakes.grad.abs().sum()))
    assert forces[1] == pytest.approx(10 * forces[0], rel=1e-4)


@pytest.mark.parametrize("reals", [grey(0.0, 1.0), grey(0.5, 0.5)])
def test_equal_images_and_single_ones_leave_numbers_finite(reals: torch.Tensor) -> None:
    fakes = grey(0.2, 0.2).requires_grad_()
    value = ModeSeeking()(fakes, reals)
    value.backward()
    assert math.isfinite(value.item())
    assert fakes.grad is not None
    assert bool(fakes.grad.isfinite().all())
    assert ModeSeeking()(grey(0.2), grey(0.3)).item() == 0.0


def test_it_joins_the_loss_of_the_generator(tmp_path: Path) -> None:
    """With a weight of zero nothing changes; otherwise the generator, and what is reported."""

    def trained(weight: float) -> tuple[Watch, torch.Tensor]:
        phases = {
            "discriminator": DiscriminatorPhase(),
            "generator": GeneratorPhase(ModeSeeking(weight)),
        }
        module, watch = gan(phases=phases), Watch()
        fit(module, 2, tmp_path, watch)
        return watch, parameters_to_vector(module.generator.parameters()).detach()

    plain = gan()
    fit(plain, 2, tmp_path)
    before = parameters_to_vector(plain.generator.parameters())
    watch, weights = trained(0.0)
    assert torch.equal(weights, before)
    assert [row["diversity"] for row in watch.metrics] == [0.0, 0.0]
    watch, weights = trained(1.0)
    assert not torch.equal(weights, before)
    assert watch.metrics[0]["diversity"] > 0


@pytest.mark.parametrize("options", [{"weight": -1.0}, {"share": 0.0}])
def test_what_makes_no_sense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="share positive"):
        ModeSeeking(**options)
