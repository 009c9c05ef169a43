"""Losses and penalties against numbers worked out by hand."""

import math

import pytest
import torch

from fpainter.losses.adversarial import Hinge, NonSaturating
from fpainter.losses.regularisers import R1, UnitGradient

REAL, FAKE = torch.tensor([[2.0], [0.5]]), torch.tensor([[-3.0], [1.0]])


def test_hinge() -> None:
    assert float(Hinge().discriminator(REAL, FAKE)) == pytest.approx(0.25 + 1.0)
    assert float(Hinge().generator(FAKE)) == pytest.approx(1.0)


def test_non_saturating() -> None:
    def softplus(x: float) -> float:
        return math.log1p(math.exp(x))

    expected = (softplus(-2) + softplus(-0.5)) / 2 + (softplus(-3) + softplus(1)) / 2
    assert float(NonSaturating().discriminator(REAL, FAKE)) == pytest.approx(expected)
    assert float(NonSaturating().generator(FAKE)) == pytest.approx((softplus(3) + softplus(-1)) / 2)


@pytest.mark.parametrize("loss", [Hinge(), NonSaturating()])
def test_high_logits_mean_real(loss: Hinge | NonSaturating) -> None:
    right = loss.discriminator(torch.ones(4, 1), -torch.ones(4, 1))
    wrong = loss.discriminator(-torch.ones(4, 1), torch.ones(4, 1))
    assert right < wrong
    assert loss.generator(torch.ones(4, 1)) < loss.generator(-torch.ones(4, 1))


def penalised(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Two heads; the gradient of their sum at x is 2 x + 3."""
    return images.square().flatten(1).sum(1, keepdim=True), 3 * images.flatten(1)


def test_penalties() -> None:
    images = torch.tensor([[0.0, 2.0], [-1.0, 1.0]]).reshape(2, 1, 1, 2).requires_grad_()
    squared = torch.tensor([9.0 + 49.0, 1.0 + 25.0])  # squared gradient norms
    unit = UnitGradient(weight=10, every=4)
    assert unit(penalised(images), images).item() == pytest.approx(
        float(10 * (squared.sqrt() - 1).square().mean())
    )
    lazy = R1(gamma=0.5, every=8)
    assert lazy(penalised(images), images).item() == pytest.approx(float(0.25 * 8 * squared.mean()))
    assert lazy(penalised(images), images).requires_grad


def test_penalties_are_due_from_iteration_zero() -> None:
    assert [i for i in range(9) if UnitGradient(every=4).due(i)] == [0, 4, 8]
    with pytest.raises(ValueError, match="every must be at least 1"):
        R1(every=0)
