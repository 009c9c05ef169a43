"""Regularisers with steps of their own, mixed styles and path lengths, in the iteration."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fpainter.generators.base import Generator
from fpainter.generators.synthesis.generator import SynthesisGenerator
from fpainter.losses.adversarial import NonSaturating
from fpainter.losses.regularisers import R1
from fpainter.training.ema import HalfLifeEMA
from fpainter.training.gan_module import GANModule
from fpainter.training.optimiser import adam, slow_down
from fpainter.training.path_length import PathLengthPhase
from fpainter.training.phases import DiscriminatorPhase, GeneratorPhase, PenaltyPhase
from tests.generators.test_synthesis import make
from tests.training.test_gan_module import Watch, batches, fit, pytestmark
from tests.training.toys import gan

__all__ = ["pytestmark"]

OWN_STEPS = {"path_length_penalty", "penalty", "penalty_fake"}


def lazy(path_length: PathLengthPhase | None = None, **options: Any) -> GANModule:
    """A module with all four phases, in StyleGAN2's order."""
    phases = {
        "generator": GeneratorPhase(),
        "path_length": path_length or PathLengthPhase(every=2),
        "discriminator": DiscriminatorPhase(penalise=False),
        "penalty": PenaltyPhase(),
    }
    ways = {"loss": NonSaturating(), "regulariser": R1(gamma=0.5, every=3), "phases": phases}
    return gan(**{**ways, **options})


def styled(**options: Any) -> SynthesisGenerator:
    torch.manual_seed(1)
    generator = make(8)
    for name, value in options.items():
        setattr(generator, name, value)
    return generator


def test_each_regulariser_is_due_by_its_own_interval(tmp_path: Path) -> None:
    watch, module = Watch(), lazy(regulariser=R1(gamma=0.5, every=3, fakes=True))
    trainer = fit(module, 7, tmp_path, watch)
    assert trainer.global_step == module.iteration == 7
    due = [row.keys() & OWN_STEPS for row in watch.metrics]
    lengths, penalties = {"path_length_penalty"}, {"penalty", "penalty_fake"}
    assert due == [OWN_STEPS, set(), lengths, penalties, lengths, set(), OWN_STEPS]
    steps = [
        max(int(state["step"]) for state in optimiser.state.values())
        for optimiser in trainer.optimizers
    ]
    assert steps == [7 + 4, 7 + 3]


def test_a_penalty_of_its_own_is_the_plain_loop(tmp_path: Path) -> None:
    """G, then D, then the penalty of every second iteration, by hand and with a slower Adam."""
    main = {"generator": GeneratorPhase(), "discriminator": DiscriminatorPhase(penalise=False)}
    phases: Any = main | {"penalty": PenaltyPhase()}
    options: Any = {"regulariser": R1(gamma=0.5, every=2), "phases": phases}
    module = lazy(**options)
    pool = list(torch.randn(8, 4, 5, generator=torch.Generator().manual_seed(3)))
    draws = iter(pool)
    module.draw_latents = lambda num: next(draws) if num else torch.zeros(0, 5)  # type: ignore[method-assign]
    fit(module, 4, tmp_path)
    plain = lazy(**options)
    g, d, draws = plain.generator, plain.discriminator, iter(pool)
    rate, beta = 1e-3 * 2 / 3, 0.9 ** (2 / 3)
    g_optimiser = torch.optim.Adam(g.parameters(), lr=1e-3, betas=(0.5, 0.9))
    d_optimiser = torch.optim.Adam(d.parameters(), lr=rate, betas=(0.5 ** (2 / 3), beta))
    for iteration, batch in enumerate(batches(4)):
        reals = (batch / 127.5 - 1).requires_grad_()
        g_optimiser.zero_grad()
        torch.nn.functional.softplus(-d(g(next(draws))).logits[0]).mean().backward()
        g_optimiser.step()
        with torch.no_grad():
            fakes = g(next(draws))
        d_optimiser.zero_grad()
        real, fake = d(reals).logits[0], d(fakes).logits[0]
        (torch.log1p((-real).exp()).mean() + torch.log1p(fake.exp()).mean()).backward()
        d_optimiser.step()
        if iteration % 2 == 0:
            d_optimiser.zero_grad()
            total = d(reals).logits[0].sum()
            (gradient,) = torch.autograd.grad(total, reals, create_graph=True)
            (2 * 0.5 / 2 * gradient.square().sum(dim=(1, 2, 3)).mean()).backward()
            d_optimiser.step()
    for player in ("generator", "discriminator"):
        expected = plain.get_submodule(player).state_dict()
        for name, tensor in module.get_submodule(player).state_dict().items():
            torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("generator", [styled(), gan().generator], ids=["styles", "painter"])
def test_lengths_are_those_of_the_derivative(generator: Generator) -> None:
    """Of any generator; the derivative of each pixel is taken by itself, and for each image."""
    generator, phase = copy.deepcopy(generator).double().eval(), PathLengthPhase()
    images, w = generator.traced(torch.randn(2, generator.d_latent))
    directions = torch.randn_like(images)
    phase.draw_directions = lambda images: directions  # type: ignore[method-assign]
    got = phase.lengths(images, w)
    for index in range(2):
        pixels = images[index].flatten()
        jacobian = torch.stack([torch.autograd.grad(p, w, retain_graph=True)[0] for p in pixels])
        moved = torch.einsum("p,pld->ld", directions[index].flatten(), jacobian[:, index])
        expected = (moved.square().sum() / len(moved)).sqrt()
        torch.testing.assert_close(got[index], expected)


def test_directions_have_unit_variance_over_an_image() -> None:
    drawn = PathLengthPhase().draw_directions(torch.zeros(500, 3, 4, 8))
    assert drawn.square().sum(dim=(1, 2, 3)).mean() == pytest.approx(3, rel=0.02)


def test_the_mean_of_lengths_follows_and_is_kept(tmp_path: Path) -> None:
    module, watch = lazy(PathLengthPhase(every=1, decay=0.25), generator=styled()), Watch()
    seen: list[Tensor] = []
    phase: Any = module.phases["path_length"]
    lengths = phase.lengths

    def watched(*args: Tensor) -> Tensor:
        seen.append(lengths(*args))
        return seen[-1]

    phase.lengths = watched
    phase.draw_directions = torch.ones_like
    fit(module, 3, tmp_path, watch)
    assert all(len(each) == 2 for each in seen)  # of a batch of four
    mean = 0.0
    for each, row in zip(seen, watch.metrics, strict=True):
        mean = 0.75 * mean + 0.25 * each.mean().item()
        assert row["path_length"] == pytest.approx(mean, rel=1e-5)
        expected = 2 * (each - mean).square().mean().item()
        assert row["path_length_penalty"] == pytest.approx(expected, rel=1e-4)
    assert module.state_dict()["phases.path_length.mean"].item() == pytest.approx(mean, rel=1e-5)


def test_a_mean_that_is_no_number_is_not_kept() -> None:
    phase = PathLengthPhase()
    phase.mean.fill_(2.0)
    phase.lengths = lambda *args: torch.tensor([torch.nan, 1.0])  # type: ignore[method-assign]
    reals: Any = type("Reals", (), {"label": None})
    phase.terms(gan(), reals, torch.zeros(2, 5))
    assert phase.mean == 2.0


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_painters_and_all_players_take_all_phases(precision: str, tmp_path: Path) -> None:
    for generator in (styled(style_mixing=0.9), None):
        options: Any = {"generator": generator} if generator else {}
        module, watch = lazy(accumulate=2, **options), Watch()
        before = {n: p.clone() for n, p in module.named_parameters()}
        fit(module, 4, tmp_path, watch, precision=precision)
        assert all(row["skipped"] == 0 for row in watch.metrics)
        for name, parameter in module.named_parameters():
            assert parameter.isfinite().all()
            assert not name.startswith("phases")
            if parameter.requires_grad:
                assert not torch.equal(parameter, before[name]), name


def test_adam_is_slowed_down_for_every_group_and_only_where_steps_are_added() -> None:
    groups = [(f"{part}.weight", torch.nn.Parameter(torch.ones(2))) for part in ("a", "b")]
    optimiser = adam(groups, 1e-2, lr_of={"b": 1e-3}, betas=(0.0, 0.99))
    slow_down(optimiser, 4)
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([8e-3, 8e-4])
    assert optimiser.param_groups[0]["betas"] == (0.0, 0.99**0.8)
    rates = [o.param_groups[0]["lr"] for o in gan().configure_optimizers()]
    assert rates == [1e-3, 1e-3]
    rates = [o.param_groups[0]["lr"] for o in lazy().configure_optimizers()]
    assert rates == pytest.approx([1e-3 * 2 / 3, 1e-3 * 3 / 4])
    slow_down(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1), 1)


def test_phases_are_checked() -> None:
    main = {"generator": GeneratorPhase(), "discriminator": DiscriminatorPhase()}
    with pytest.raises(ValueError, match=r"phases: there must be one called discriminator; got \["):
        gan(phases={"generator": GeneratorPhase(), "discriminator": None})
    with pytest.raises(ValueError, match=r"phases\.penalty needs model\.regulariser"):
        gan(phases=main | {"penalty": PenaltyPhase()}, regulariser=None)
    assert list(gan(phases=main | {"penalty": None}).phases) == ["generator", "discriminator"]
    with pytest.raises(ValueError, match="every and batch_shrink must be at least 1; got 0 and 2"):
        PathLengthPhase(every=0)
    with pytest.raises(ValueError, match=r"decay must be in \(0, 1\]; got 0"):
        PathLengthPhase(decay=0)
    with pytest.raises(ValueError, match=r"style_mixing must be in \[0, 1\]; got 2"):
        make_mixing(2.0)


def make_mixing(probability: float) -> SynthesisGenerator:
    whole = make(8)
    parts = whole.mapping_network, whole.synthesis_network
    return SynthesisGenerator(8, *parts, style_mixing=probability)


def test_styles_are_mixed_as_often_and_from_where_they_should() -> None:
    generator = make_mixing(0.75)
    num = generator.num_styles
    z = torch.randn(2, 8)
    cutoffs = torch.tensor([generator.draw_mixing(z)[1] for _ in range(4000)])
    shares = torch.bincount(cutoffs, minlength=num + 1) / len(cutoffs)
    assert shares[0] == 0
    torch.testing.assert_close(
        shares[1:num], torch.full((num - 1,), 0.75 / (num - 1)), rtol=0, atol=0.03
    )
    assert shares[num] == pytest.approx(0.25, abs=0.03)


def test_mixed_styles_are_of_two_latents_in_training_alone() -> None:
    generator = make_mixing(1.0)
    z, other = torch.randn(2, 3, 8).unbind()
    generator.draw_mixing = lambda z: (other, 1)  # type: ignore[method-assign]
    w = generator.styles(z)
    torch.testing.assert_close(w[:, :1], generator.mapping(z)[:, :1])
    torch.testing.assert_close(w[:, 1:], generator.mapping(other)[:, 1:])
    assert not generator.w_average.any()
    with torch.no_grad():
        generator.styles(z)
    expected = 0.002 * generator.mapping(z)[:, 0].mean(dim=0)
    torch.testing.assert_close(generator.w_average, expected)  # of the first latents
    torch.testing.assert_close(generator.eval().styles(z), generator.mapping(z))


def test_the_average_of_styles_is_not_averaged_once_more(tmp_path: Path) -> None:
    module = lazy(generator=styled(), ema=HalfLifeEMA(1.0, 4))
    fit(module, 3, tmp_path)
    average, current = module.generator_ema.state_dict(), module.generator.state_dict()
    torch.testing.assert_close(average["w_average"], current["w_average"], rtol=0, atol=0)
    assert current["w_average"].any()
    name = "synthesis_network.constant"
    assert not torch.equal(average[name], current[name])
