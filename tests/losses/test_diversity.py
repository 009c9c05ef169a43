"""Fakes of different latents are kept apart."""

import math
from pathlib import Path

import pytest
import torch
from torch.nn.utils import parameters_to_vector

from fpainter.errors import UserError
from fpainter.losses.diversity import ModeSeeking
from fpainter.training.mixed_sizes import AtSizes
from fpainter.training.phases import DiscriminatorPhase, GeneratorPhase
from tests.training.test_gan_module import Watch, fit, pytestmark
from tests.training.toys import gan

__all__ = ["pytestmark"]


def turned(sines: torch.Tensor) -> torch.Tensor:
    """Images [B 3 2 2] of mean 0 and deviation 1, from rows at an angle of 0 to columns at 90°.

    Two of them are ``max(|sin a - sin b|, |cos a - cos b|)`` apart.
    """
    rows, columns = torch.tensor([[[1.0, 1], [-1, -1]], [[1, -1], [1, -1]]])
    sines = sines.view(-1, 1, 1, 1)
    return ((1 - sines**2).sqrt() * rows + sines * columns).expand(-1, 3, 2, 2)


def images(*sines: float) -> torch.Tensor:
    return turned(torch.tensor(sines))


def test_only_what_is_nearer_than_reals_counts() -> None:
    """By hand: reals are 1 and 1 apart, two thirds of which are enough."""
    reals = images(0.0, 1.0)
    loss = ModeSeeking(weight=0.5, share=2 / 3)
    assert loss(images(0.0, 0.8), reals).item() == 0.0
    near = loss(images(0.0, 0.1), reals).item()
    assert near == pytest.approx(0.5 * math.log(2 / 3 / 0.1), rel=1e-3)
    # Of three fakes, at distances of 0.1, 0.8 and 0.9, one is nearer than two thirds of two thirds.
    uneven = loss(images(0.0, 0.1, 0.9), images(0.0, 1.0, 0.0)).item()
    assert uneven == pytest.approx(0.5 * math.log(4 / 9 / 0.1) / 3, rel=1e-3)


def test_several_fakes_of_a_latent_are_no_twins() -> None:
    """Canvases of one painting, after some steps and after all, may be alike."""
    reals, loss = images(0.0, 1.0), ModeSeeking()
    assert loss(images(0.0, 1.0, 0.0, 1.0), reals).item() == 0.0
    assert loss(images(0.0, 0.0, 1.0, 1.0), reals).item() > 1


def test_the_nearer_the_harder_they_are_pushed() -> None:
    """By hand: the gradient of -log(sin a), by the sine, is one over it."""
    for sine in (0.3, 0.03):
        sines = torch.tensor([0.0, sine], requires_grad=True)
        ModeSeeking(weight=1.0)(turned(sines), images(0.0, 1.0)).backward()
        assert sines.grad is not None
        assert sines.grad[1].item() == pytest.approx(-1 / sine, rel=1e-3)


def test_brightness_colour_and_contrast_make_no_difference() -> None:
    fakes, reals = images(0.0, 0.2, 0.3), images(0.0, 1.0, 0.0)
    scale, shift = torch.rand(3, 1, 1, 1) + 0.5, torch.randn(3, 3, 1, 1)
    changed = ModeSeeking()(fakes * scale + shift, reals)
    assert changed.item() == pytest.approx(ModeSeeking()(fakes, reals).item(), rel=1e-3)


@pytest.mark.parametrize("reals", [images(0.0, 1.0), images(0.5, 0.5), torch.ones(2, 3, 2, 2)])
def test_equal_images_and_single_ones_leave_numbers_finite(reals: torch.Tensor) -> None:
    for fakes in (images(0.2, 0.2), torch.zeros(2, 3, 2, 2)):
        fakes = fakes.clone().requires_grad_()
        value = ModeSeeking()(fakes, reals)
        value.backward()
        assert math.isfinite(value.item())
        assert fakes.grad is not None
        assert bool(fakes.grad.isfinite().all())
    assert ModeSeeking()(images(0.2), images(0.3)).item() == 0.0


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


@pytest.mark.parametrize("inside", [False, True])
def test_single_images_are_refused(inside: bool, tmp_path: Path) -> None:
    """A batch of four, in micro-batches of one."""
    seeking = GeneratorPhase(ModeSeeking())
    phases = {
        "discriminator": DiscriminatorPhase(),
        "generator": AtSizes(seeking, [0]) if inside else seeking,
    }
    fit(gan(phases=phases, accumulate=2), 1, tmp_path)
    with pytest.raises(UserError, match=r"accumulate=4 leaves 1 of the 4 that a process has"):
        fit(gan(phases=phases, accumulate=4), 1, tmp_path)


@pytest.mark.parametrize("options", [{"weight": -1.0}, {"share": 0.0}])
def test_what_makes_no_sense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="share positive"):
        ModeSeeking(**options)
