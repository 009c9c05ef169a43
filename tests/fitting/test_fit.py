"""Instructions that are optimised against pictures, and how they are scored."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fpainter.fitting.fit import best_rank, fit_numbers
from fpainter.fitting.scores import score
from fpainter.generators.instruction_head import InstructionHead
from fpainter.generators.learning_rules import DeltaRule, LearningRule, OjaRule, SumRule
from fpainter.generators.painter import FastWeightPainter
from fpainter.generators.written import written_painter

H, W, C = 6, 9, 2


def painter(
    num: int, num_steps: int = 2, rule: LearningRule | None = None, key_activation: str = "unit"
) -> FastWeightPainter:
    head = InstructionHead(1, (H, W), C, key_activation=key_activation)
    return written_painter(num, num_steps, head, rule or DeltaRule(), gain=0.1)


def pictures(num: int, rank: int) -> Tensor:
    random = torch.Generator().manual_seed(1)
    rows, cols = (torch.randn(num, C, rank, side, generator=random) for side in (H, W))
    return 0.3 * rows.mT @ cols


def distance(painter: FastWeightPainter, targets: Tensor, step: int) -> float:
    with torch.no_grad():
        canvas = painter.paint(torch.eye(len(targets))).canvases([step])[:, 0]
    return float((canvas - targets).square().sum())


@pytest.mark.parametrize("rule", [DeltaRule(), SumRule(), OjaRule()], ids=["delta", "sum", "oja"])
def test_pictures_of_rank_t_are_redrawn_in_t_steps(rule: LearningRule) -> None:
    targets = pictures(2, rank=2)
    fitted = painter(2, 2, rule)
    assert [name for name, _ in fitted.named_parameters()] == ["input_generator.numbers"]
    fit_numbers(fitted, targets, 150, 0.1)
    assert distance(fitted, targets, 2) < 0.02 * float(targets.square().sum())


def test_a_picture_is_fitted_as_if_it_were_alone() -> None:
    targets = pictures(3, rank=3)
    together, alone = painter(3), painter(1)
    fit_numbers(together, targets, 20, 0.1, early=0.1)
    fit_numbers(alone, targets[2:], 20, 0.1, early=0.1)
    numbers: list[Any] = [p.input_generator.numbers for p in (together, alone)]
    assert torch.allclose(numbers[0][2:], numbers[1], atol=1e-5)
    assert not torch.allclose(numbers[0][0], numbers[0][2], atol=0.1)


def test_unfinished_canvases_can_be_made_to_look_like_the_picture() -> None:
    targets = pictures(1, rank=4)
    anyhow, early = painter(1, 4), painter(1, 4)
    fit_numbers(anyhow, targets, 150, 0.1)
    fit_numbers(early, targets, 150, 0.1, early=1.0)
    assert distance(early, targets, 4) < 0.05 * float(targets.square().sum())
    assert distance(early, targets, 1) < 0.8 * distance(anyhow, targets, 1)


def test_what_blows_up_is_said() -> None:
    with pytest.raises(ValueError, match=r"a smaller lr than 1e\+30"):
        fit_numbers(painter(1, key_activation="identity"), pictures(1, 1), 3, 1e30)


def test_steps_are_whole_numbers() -> None:
    with pytest.raises(ValueError, match=r"num_steps must be .* got 0"):
        painter(1, 0)


def test_the_best_rank_leaves_out_the_smallest_singular_values() -> None:
    image = torch.randn(C, H, W, dtype=torch.float64)
    values = np.linalg.svd(image.numpy(), compute_uv=False)
    for rank in (1, 4, H, H + 3):
        near = best_rank(image, rank)
        assert np.linalg.matrix_rank(near.numpy()).max() == min(rank, H)
        left = (image - near).square().sum().item()
        assert left == pytest.approx((values[:, rank:] ** 2).sum(), abs=1e-12)


def test_scores_are_those_of_each_picture() -> None:
    real = torch.randint(0, 256, (3, 3, 12, 16), dtype=torch.uint8)
    ours = real.clone()
    ours[1] = (real[1].int() + torch.randint(-20, 21, real[1].shape)).clamp(0, 255).byte()
    ours[2] = 255 - real[2]
    psnr, ssim = score(ours, real)
    error = ((ours[1].double() - real[1].double()) ** 2).mean().item()
    assert psnr[1].item() == pytest.approx(10 * np.log10(255**2 / error))
    assert psnr[0] > 78
    assert ssim[0].item() == pytest.approx(1)
    assert ssim[0] > ssim[1] > ssim[2]
    assert score(ours[1:2], real[1:2]).ssim[0].item() == pytest.approx(ssim[1].item())
