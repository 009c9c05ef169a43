"""Clipping and mixed precision: what must be exact is, what cannot work is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor, nn

from fpainter.discriminators.lightgan import LightGANDiscriminator
from fpainter.errors import UserError
from fpainter.losses.adversarial import Hinge
from fpainter.training.gan_module import GANModule
from fpainter.training.precision import pick_precision
from tests.training.test_gan_module import Watch, fit
from tests.training.toys import D_LATENT, SIZE, gan, painter

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),
]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_clipping(player: str, precision: str, tmp_path: Path) -> None:
    def fused(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=1e-3, fused=True)

    optimisers = {"generator_optimiser": fused, "discriminator_optimiser": fused}
    module = gan(**optimisers, clip={player: 0.01})
    fit(module, 1, tmp_path, precision=precision)
    norms = {
        name: torch.stack([p.grad.norm() for p in part.parameters() if p.grad is not None]).norm()
        for name, part in [("generator", module.generator), ("discriminator", module.discriminator)]
    }
    assert norms[player] == pytest.approx(0.01, rel=1e-3)
    other = "discriminator" if player == "generator" else "generator"
    assert norms[other] > 0.02


def test_clipping_of_a_part(tmp_path: Path) -> None:
    module = gan(clip={"generator.sequence_processor": 0.001})
    fit(module, 1, tmp_path)
    norms = {
        part: nn.utils.get_total_norm(
            [p.grad for p in getattr(module.generator, part).parameters()]
        )
        for part in ("sequence_processor", "head")
    }
    assert norms["sequence_processor"] == pytest.approx(0.001, rel=1e-3)
    assert norms["head"] > 0.002
    with pytest.raises(ValueError, match=r"there is no part 'generator\.brush'"):
        gan(clip={"generator.brush": 1.0})


@pytest.mark.parametrize("paper", [False, True], ids=["small", "LightGAN"])
def test_bf16_keeps_the_penalty_in_float32(paper: bool, tmp_path: Path) -> None:
    size, rows = 16 if paper else SIZE, []
    for precision in ("32-true", "bf16-mixed"):
        torch.manual_seed(0)
        parts: dict[str, Any] = {"generator": painter(size)}
        if paper:
            parts["discriminator"] = LightGANDiscriminator(size, c_max=16, attention_at=(16,))
        watch = Watch()
        fit(gan(**parts), 4, tmp_path, watch, size=size, precision=precision)
        rows.append(watch.metrics)
    for exact, got in zip(*rows, strict=True):
        for name, value in exact.items():
            # A later penalty is that of weights which have parted by then.
            within = 0.2 if name == "penalty" else 0.05
            assert got[name] == pytest.approx(value, rel=within, abs=0.05), name
    assert rows[1][0]["penalty"] == pytest.approx(rows[0][0]["penalty"], rel=1e-5)


class PenaltyAlone(Hinge):
    """Leaves the discriminator nothing but its penalty."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return 0 * real.sum()


def test_under_bf16_the_gradient_of_the_penalty_is_that_of_float32(tmp_path: Path) -> None:
    gradients = []
    for precision in ("32-true", "bf16-mixed"):
        torch.manual_seed(0)
        judge = LightGANDiscriminator(16, c_max=16, attention_at=(16,))
        module = gan(
            generator=painter(16), discriminator=judge, loss=PenaltyAlone(), auxiliary_weight=0.0
        )
        fit(module, 1, tmp_path, size=16, precision=precision)
        found = [p.grad.flatten() for p in judge.parameters() if p.grad is not None]
        gradients.append(torch.cat(found))
    assert gradients[0].norm() > 0
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-6)


def test_no_cast_of_a_weight_outlives_its_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D's fakes are made under no_grad: what is cached then has no gradient to give."""
    cached: list[bool] = []
    step = GANModule.training_step

    def watched(module: GANModule, batch: Tensor, batch_idx: int) -> None:
        cached.append(torch.is_autocast_cache_enabled())
        step(module, batch, batch_idx)

    monkeypatch.setattr(GANModule, "training_step", watched)
    module = gan()
    fit(module, 1, tmp_path, precision="bf16-mixed")
    assert cached == [False]
    assert all(p.grad is not None and p.grad.norm() > 0 for p in module.generator.parameters())


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_half_precision_is_refused(precision: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"{precision}: half-precision weights .* give bf16-mixed"):
        fit(gan(), 1, tmp_path, precision=precision)


@pytest.mark.parametrize(
    ("has", "expected"),
    [({}, "32-true"), ({"avx2": True}, "32-true"), ({"avx512_bf16": True}, "bf16-mixed")],
)
def test_automatic_precision(
    has: dict[str, bool], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    assert pick_precision("auto", "cpu") == expected
    assert pick_precision("64-true", "cpu") == "64-true"


def test_scaled_gradients_are_refused(tmp_path: Path) -> None:
    float16 = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu"))
    with pytest.raises(UserError, match=r"precision=16-mixed: half-precision .* or gradients"):
        fit(gan(), 1, tmp_path, plugins=float16)


def test_half_precision_weights_can_paint() -> None:
    assert painter().bfloat16()(torch.randn(2, D_LATENT).bfloat16()).dtype == torch.bfloat16
