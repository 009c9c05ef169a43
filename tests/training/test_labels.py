"""Training with labels: which the players see, and that nothing else changes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from fpainter.augmentation.diff import DiffAugment
from fpainter.discriminators.convolutional import ConvolutionalDiscriminator
from fpainter.generators.supervision import Supervision
from fpainter.losses.adversarial import Relativistic
from fpainter.losses.regularisers import R1
from fpainter.training.gan_module import GANModule
from tests.training.test_gan_module import batches, give_latents
from tests.training.test_gan_module import pytestmark as pytestmark
from tests.training.toys import SIZE, gan, painter

LABELS = torch.tensor([2, 0, 1, 0])


def conditional(**options: Any) -> GANModule:
    torch.manual_seed(0)
    judge = ConvolutionalDiscriminator(SIZE, widths=(4, 6), group_size=1, num_labels=3)
    return gan(**{"generator": painter(num_labels=3), "discriminator": judge, **options})


def fit(module: GANModule, num: int, path: Path) -> GANModule:
    pairs: Any = [(batch, LABELS.roll(shift)) for shift, batch in enumerate(batches(num))]
    Trainer(
        accelerator="cpu", max_steps=num, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=path,
    ).fit(module, DataLoader(pairs, batch_size=None))  # fmt: skip
    return module


def test_training_with_labels_is_the_plain_loop(tmp_path: Path) -> None:
    module = conditional()
    give_latents(module)
    fit(module, 3, tmp_path)
    plain = conditional()
    give_latents(plain)
    g, d = plain.generator, plain.discriminator
    g_optimiser, d_optimiser = plain.configure_optimizers()
    for iteration, batch in enumerate(batches(3)):
        label = LABELS.roll(iteration)
        reals = (batch / 127.5 - 1).requires_grad_()
        fakes = g(plain.draw_latents(4), label).detach()
        real, fake = d(reals, label=label).logits[0], d(fakes, label=label).logits[0]
        loss = (1 - real).relu().mean() + (1 + fake).relu().mean()
        if iteration % 2 == 0:
            (gradient,) = torch.autograd.grad(real.sum(), reals, create_graph=True)
            loss = loss + (gradient.flatten(1).norm(dim=1) - 1).square().mean()
        d_optimiser.zero_grad()
        loss.backward()
        d_optimiser.step()
        g_optimiser.zero_grad()
        (-d(g(plain.draw_latents(4), label), label=label).logits[0].mean()).backward()
        g_optimiser.step()
    for player in (module.generator, module.discriminator):
        expected = (g if player is module.generator else d).state_dict()
        for name, tensor in player.state_dict().items():
            torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_each_image_is_judged_with_its_label(tmp_path: Path, accumulate: int) -> None:
    """Also where a latent has several images, and those of reals are compared with fakes."""
    seen: list[tuple[int, list[int]]] = []

    class Watched(ConvolutionalDiscriminator):
        def forward(self, x: Tensor, auxiliary: bool = False, label: Tensor | None = None) -> Any:
            assert label is not None
            seen.append((len(x), label.tolist()))
            return super().forward(x, auxiliary, label)

    toy = painter(num_labels=3, supervision=Supervision(num_canvases=2))
    judge = Watched(SIZE, widths=(4, 6), group_size=1, num_labels=3)
    module = conditional(
        generator=toy, discriminator=judge, loss=Relativistic(), accumulate=accumulate,
        regulariser=R1(every=1, fakes=True), augment=DiffAugment(["color"]),
    )  # fmt: skip
    fit(module, 1, tmp_path)
    parts = [part.tolist() for part in LABELS.chunk(accumulate)]
    size = 4 // accumulate
    both = [call for part in parts for call in ((2 * size, 2 * part), (size, part))]
    assert seen == both + both


def test_accumulation_changes_nothing(tmp_path: Path) -> None:
    def sgd(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=0.1)

    states = [
        fit(
            conditional(accumulate=n, generator_optimiser=sgd, discriminator_optimiser=sgd),
            2, tmp_path,
        ).state_dict()
        for n in (1, 2)
    ]  # fmt: skip
    torch.testing.assert_close(states[1], states[0], rtol=1e-4, atol=1e-5)
