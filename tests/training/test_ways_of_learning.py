"""Pairs, penalties on fakes, schedules and adaptive augmentation, together in the iteration."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fpainter.augmentation.adaptive import AdaptiveAugment
from fpainter.losses.adversarial import Relativistic
from fpainter.losses.regularisers import R1
from fpainter.training.ema import RampEMA
from fpainter.training.gan_module import GANModule
from fpainter.training.schedules import Cosine, Ramp
from tests.training.test_gan_module import Watch, batches, fit, give_latents, pytestmark
from tests.training.test_precision import PenaltyAlone
from tests.training.toys import gan

__all__ = ["pytestmark"]


def pairs(**options: Any) -> GANModule:
    """A module that learns in all these ways; without a start, augmentation stays away."""
    cosine = Cosine(end=0.1, num_iterations=4)
    ways: dict[str, Any] = {
        "loss": Relativistic(),
        "regulariser": R1(gamma=0.5, every=2, fakes=True),
        "ema": RampEMA(half_life=2, fraction=1.0),
        "augment": AdaptiveAugment(target=0.99),
        "schedules": {
            "generator_lr": cosine,
            "discriminator_lr": cosine,
            "penalty": Ramp(end=0.0, num_iterations=4),
        },
    }
    return gan(**{**ways, **options})


def test_training_is_the_plain_loop(tmp_path: Path) -> None:
    """The same iterations, written out once more with nothing of Lightning or of the package."""
    module, watch = pairs(), Watch()
    give_latents(module)
    fit(module, 4, tmp_path, watch)

    plain = pairs()
    give_latents(plain)
    g, d = plain.generator, plain.discriminator
    g_optimiser, d_optimiser = plain.configure_optimizers()
    rates = [1.0, 0.8681980515339464, 0.55, 0.2318019484660536]  # 0.1 + 0.9 (1 + cos(pi i / 4)) / 2
    for iteration, batch in enumerate(batches(4)):
        for optimiser in (g_optimiser, d_optimiser):
            optimiser.param_groups[0]["lr"] = 1e-3 * rates[iteration]
        reals = (batch / 127.5 - 1).requires_grad_()
        fakes = g(plain.draw_latents(4)).detach().requires_grad_()
        real, fake = d(reals).logits[0], d(fakes).logits[0]
        d_loss = F.softplus(fake - real).mean()
        if iteration % 2 == 0:
            for name, logits, images in (("penalty", real, reals), ("penalty_fake", fake, fakes)):
                (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
                weight = 0.5 / 2 * 2 * (1 - iteration / 4)
                penalty = weight * gradient.square().sum(dim=(1, 2, 3)).mean()
                assert watch.metrics[iteration][name] == pytest.approx(penalty.item(), rel=1e-3)
                assert watch.metrics[iteration]["penalty_weight"] == pytest.approx(weight)
                d_loss = d_loss + penalty
        d_optimiser.zero_grad()
        d_loss.backward()
        d_optimiser.step()
        g_optimiser.zero_grad()
        fake = d(g(plain.draw_latents(4))).logits[0]
        F.softplus(d(reals.detach()).logits[0].detach() - fake).mean().backward()
        g_optimiser.step()
        keep = [0.5, 0.5**0.5, 0.5**0.5, 0.5**0.5][iteration]
        assert watch.metrics[iteration]["ema_decay"] == pytest.approx(keep)
        for average, current in zip(plain.generator_ema.parameters(), g.parameters(), strict=True):
            average.data.mul_(keep).add_(current.data, alpha=1 - keep)
    for (name, got), expected in zip(
        module.state_dict().items(), plain.state_dict().values(), strict=True
    ):
        if not name.startswith("augment"):
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_augmentation_follows_the_signs_of_the_reals(accumulate: int, tmp_path: Path) -> None:
    """Four reals an iteration, 40 images from 0 to 1: each iteration moves by a tenth."""
    for target, expected in ((-0.9999, [0.4, 0.5, 0.5]), (0.9999, [0.2, 0.1, 0.0])):
        augment = AdaptiveAugment(target=target, num_images=40, most=0.5, start=0.3)
        module, watch = pairs(augment=augment, accumulate=accumulate), Watch()
        fit(module, 3, tmp_path, watch)
        got = [row["augment_probability"] for row in watch.metrics]
        assert got == pytest.approx(expected, abs=1e-6)
        signs = [row["real_sign"] for row in watch.metrics]
        assert augment.recent.tolist() == [0.0, *signs]
        assert all(4 * sign in (-4, -2, 0, 2, 4) for sign in signs)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "64-true"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_all_at_once(precision: str, accumulate: int, tmp_path: Path) -> None:
    augment = AdaptiveAugment(
        ["mirror", "rotation", "shift", "scale", "stretch", "color", "cutout"], start=0.8
    )
    module, watch = pairs(augment=augment, accumulate=accumulate), Watch()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    fit(module, 4, tmp_path, watch, precision=precision)
    assert ["penalty_fake" in row for row in watch.metrics] == [True, False, True, False]
    assert all(row["skipped"] == 0 for row in watch.metrics)
    for name, value in module.state_dict().items():
        assert value.isfinite().all()
        # Relativistic logits may all be shifted, so the last bias learns nothing.
        if name.startswith(("generator.", "discriminator.")) and "to_logit.bias" not in name:
            assert not torch.equal(value.float(), before[name]), name


def test_under_bf16_the_penalty_on_fakes_is_that_of_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fakes themselves are painted under autocast, so both runs are shown the same ones."""
    penalties, gradients = [], []
    shown = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(7)).bfloat16()
    call = R1.__call__

    def of_fakes_alone(self: R1, logits: tuple[Tensor, ...], images: Tensor) -> Tensor:
        assert images.dtype == logits[0].dtype == torch.float32
        return call(self, logits, images) * float(torch.equal(images, shown.float()))

    monkeypatch.setattr(R1, "__call__", of_fakes_alone)
    for precision in ("32-true", "bf16-mixed"):
        module, watch = gan(loss=PenaltyAlone(), regulariser=R1(every=1, fakes=True)), Watch()
        fakes = module.generator.fakes

        def show(z: Tensor, label: Tensor | None = None, fakes: Any = fakes) -> Any:
            painted = fakes(z, label)
            return painted if painted.images.requires_grad else painted._replace(images=shown)

        module.generator.fakes = show  # type: ignore[method-assign]
        fit(module, 1, tmp_path, watch, precision=precision)
        assert watch.metrics[0]["penalty"] == 0
        penalties.append(watch.metrics[0]["penalty_fake"])
        found = [p.grad.flatten() for p in module.discriminator.parameters() if p.grad is not None]
        gradients.append(torch.cat(found))
    assert penalties[0] > 0
    assert penalties[1] == pytest.approx(penalties[0], rel=1e-6)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-6)
