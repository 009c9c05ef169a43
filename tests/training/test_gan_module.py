"""One D step and one G step are one iteration, whatever is asked of them."""

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fpainter.discriminators.lightgan import LightGANDiscriminator
from fpainter.errors import UserError
from fpainter.generators.base import Fakes
from fpainter.generators.painter import FastWeightPainter
from fpainter.losses.adversarial import DualContrastive
from fpainter.training.gan_module import GANModule
from fpainter.training.judging import Reals
from fpainter.training.phases import Phase
from tests.training.toys import D_LATENT, SIZE, gan, painter


def batches(num: int, size: int = SIZE) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    shape = (num, 4, 3, size, size)
    return list(torch.randint(256, shape, generator=generator, dtype=torch.uint8))


def give_latents(module: GANModule) -> None:
    """Let the module draw from one list of latents, however many it asks for at a time."""
    pool = iter(torch.randn(64, D_LATENT, generator=torch.Generator().manual_seed(3)))

    def draw(num: int) -> Tensor:
        return torch.stack([next(pool) for _ in range(num)])

    module.draw_latents = draw  # type: ignore[method-assign]


def fit(
    module: GANModule,
    num: int,
    path: Path,
    *callbacks: Callback,
    size: int = SIZE,
    **options: Any,
) -> Trainer:
    trainer = Trainer(
        accelerator="cpu",
        max_steps=num,
        logger=False,
        enable_checkpointing=any(isinstance(c, Checkpoint) for c in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
        default_root_dir=path,
        **options,
    )
    stream: Any = DataLoader(batches(max(num, 1), size), batch_size=None)  # type: ignore[arg-type]
    trainer.fit(module, stream)
    return trainer


pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),
]


def test_an_iteration_is_one_step_everywhere(tmp_path: Path) -> None:
    module = gan()
    trainer = fit(module, 6, tmp_path)
    assert trainer.global_step == module.iteration == 6


def test_training_is_the_plain_loop(tmp_path: Path) -> None:
    """The same iterations, written out once more with nothing of Lightning."""
    module = gan()
    give_latents(module)
    fit(module, 3, tmp_path)

    plain = gan()
    give_latents(plain)
    g, d = plain.generator, plain.discriminator
    g_optimiser, d_optimiser = plain.configure_optimizers()
    for iteration, batch in enumerate(batches(3)):
        reals = (batch / 127.5 - 1).requires_grad_()
        with torch.no_grad():
            fakes = g(plain.draw_latents(4))
        real, fake = d(reals).logits[0], d(fakes).logits[0]
        d_loss = (1 - real).relu().mean() + (1 + fake).relu().mean()
        if iteration % 2 == 0:
            (gradient,) = torch.autograd.grad(real.sum(), reals, create_graph=True)
            d_loss = d_loss + (gradient.flatten(1).norm(dim=1) - 1).square().mean()
        d_optimiser.zero_grad()
        d_loss.backward()
        d_optimiser.step()
        g_optimiser.zero_grad()
        (-d(g(plain.draw_latents(4))).logits[0].mean()).backward()
        g_optimiser.step()
        keep = min(0.9, (1 + iteration) / (10 + iteration))
        for average, current in zip(plain.generator_ema.parameters(), g.parameters(), strict=True):
            average.data.mul_(keep).add_(current.data, alpha=1 - keep)
    for (name, got), expected in zip(
        module.state_dict().items(), plain.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6, msg=name)


class Watch(Callback):
    """Keeps the metrics of every iteration."""

    def __init__(self) -> None:
        self.metrics: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: Trainer, module: GANModule, *args: Any) -> None:  # type: ignore[override]
        self.metrics.append({name: value.item() for name, value in module.metrics.items()})


def test_metrics_of_an_iteration(tmp_path: Path) -> None:
    watch = Watch()
    fit(gan(), 4, tmp_path, watch)
    assert ["penalty" in row for row in watch.metrics] == [True, False, True, False]
    names = {"loss/discriminator", "loss/generator", "logit/real", "logit/fake"}
    assert all(names <= row.keys() for row in watch.metrics)


def test_all_heads_and_the_auxiliary_loss_count(tmp_path: Path) -> None:
    judge = LightGANDiscriminator(16, c_max=8)
    watch = Watch()
    module = gan(discriminator=judge, generator=painter(size=16), auxiliary_weight=0.5)
    give_latents(module)
    before, artist = copy.deepcopy(judge), copy.deepcopy(module.generator)
    fit(module, 1, tmp_path, watch, size=16)
    give_latents(module)
    reals = batches(1, size=16)[0] / 127.5 - 1
    with torch.no_grad():
        real = before(reals, auxiliary=True)
        fake = before(artist(module.draw_latents(4)))
        expected = sum(
            (1 - r).relu().mean() + (1 + f).relu().mean()
            for r, f in zip(real.logits, fake.logits, strict=True)
        )
        of_generator = [f.mean() for f in judge(artist(module.draw_latents(4))).logits]
    assert real.auxiliary_loss is not None
    (row,) = watch.metrics
    assert row["loss/discriminator"] == pytest.approx(float(expected), rel=1e-4)
    assert row["auxiliary"] == pytest.approx(0.5 * real.auxiliary_loss.item(), rel=1e-4)
    assert row["loss/generator"] == pytest.approx(-float(sum(of_generator)), rel=1e-4)
    # Nothing but the auxiliary loss reaches the decoder, nothing but the second head the other.
    for part in (judge.decoder, judge.small):
        assert nn.utils.get_total_norm([p.grad for p in part.parameters() if p.grad is not None])


def test_the_generators_step_leaves_the_discriminators_gradient(tmp_path: Path) -> None:
    """D's gradient after a whole iteration is that of D's own step: nothing was added to it."""
    module = gan()
    seen: list[Tensor] = []
    step = module._step

    def spy(phase: Phase, micro_batches: tuple[Reals, ...], counted: bool) -> None:
        if phase.player == "discriminator":
            return step(phase, micro_batches, counted)
        before = [p.grad.clone() for p in module.discriminator.parameters()]  # type: ignore[union-attr]
        step(phase, micro_batches, counted)
        for old, parameter in zip(before, module.discriminator.parameters(), strict=True):
            assert parameter.requires_grad
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.grad, old, rtol=0, atol=0)
            seen.append(old)
        return None

    module._step = spy  # type: ignore[method-assign]
    fit(module, 1, tmp_path)
    assert seen


def test_accumulation_changes_nothing_but_memory(tmp_path: Path) -> None:
    """Not even the noise, whose micro-batches are drawn at once. Adam would hide a factor."""

    def sgd(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=0.1)

    results = []
    for accumulate in (1, 2, 4):
        watch = Watch()
        module = gan(accumulate=accumulate, generator_optimiser=sgd, discriminator_optimiser=sgd)
        fit(module, 3, tmp_path, watch)
        metrics = {f"{i} {k}": v for i, row in enumerate(watch.metrics) for k, v in row.items()}
        results.append({**module.state_dict(), **metrics})
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=1e-4, atol=1e-5)


def test_a_batch_that_cannot_be_split_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.accumulate=3 does not divide the batch of 4"):
        fit(gan(accumulate=3), 1, tmp_path)


def test_everything_judged_is_augmented(tmp_path: Path) -> None:
    """Images that augmentation makes equal leave the discriminator nothing to tell them by."""

    class Erase(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return 0 * images

    watch = Watch()
    fit(gan(augment=Erase(), regulariser=None, loss=DualContrastive()), 2, tmp_path, watch)
    for metrics in watch.metrics:
        assert metrics["logit/real"] == pytest.approx(metrics["logit/fake"])
        # The generator's loss compares with reals: one of five alike is picked, twice.
        assert metrics["loss/generator"] == pytest.approx(2 * math.log(5))


def test_the_generators_own_loss_is_minimised(tmp_path: Path) -> None:
    class Shy(FastWeightPainter):
        def fakes(self, z: Tensor, label: Tensor | None = None) -> Fakes:
            images = self(z, label)
            return Fakes(images.detach(), images.square().mean())

    toy = painter()
    toy.__class__ = Shy
    module, watch = gan(generator=toy), Watch()
    fit(module, 40, tmp_path, watch)
    losses = [metrics["generator_auxiliary"] for metrics in watch.metrics]
    assert losses[-1] < 0.9 * losses[0]


def test_the_average_is_no_parameter_to_train() -> None:
    module = gan()
    trained = [
        p for o in module.configure_optimizers() for g in o.param_groups for p in g["params"]
    ]
    averaged = {id(p) for p in module.generator_ema.parameters()}
    assert not averaged & {id(p) for p in trained}
    assert not any(p.requires_grad for p in module.generator_ema.parameters())


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="accumulate must be at least 1"):
        gan(accumulate=0)
    with pytest.raises(ValueError, match="image_range must be one of"):
        gan(image_range="byte")
