"""Losses and penalties against numbers worked out by hand."""

import math

import pytest
import torch

from fpainter.errors import UserError
from fpainter.losses.adversarial import (
    AdversarialLoss,
    DualContrastive,
    Hinge,
    NonSaturating,
    Relativistic,
    lead,
    mean_sign,
)
from fpainter.losses.regularisers import R1, UnitGradient

REAL, FAKE = torch.tensor([[2.0], [0.5]]), torch.tensor([[-3.0], [1.0]])


def test_hinge() -> None:
    assert float(Hinge().discriminator(REAL, FAKE)) == pytest.approx(0.25 + 1.0)
    assert float(Hinge().generator(FAKE)) == pytest.approx(1.0)


def test_pooled_hinge() -> None:
    many = torch.tensor([[-3.0], [1.0], [0.0], [-1.0]])
    expected = (0.5 + 2.0 + 1.0) / 6  # one real and two fakes lie within the margin
    assert float(Hinge(pooled=True).discriminator(REAL, many)) == pytest.approx(expected)
    half = Hinge().discriminator(REAL, FAKE) / 2
    assert Hinge(pooled=True).discriminator(REAL, FAKE) == pytest.approx(float(half))


def test_dual_contrastive_is_a_cross_entropy() -> None:
    """A real is the right one among itself and all fakes; then with roles and signs exchanged."""

    def pick_first(ones: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        rows = [torch.cat([one.reshape(1), others.flatten()]) for one in ones.flatten()]
        return -torch.stack([row.log_softmax(0)[0] for row in rows]).mean()

    loss = DualContrastive()
    expected = pick_first(REAL, FAKE) + pick_first(-FAKE, -REAL)
    torch.testing.assert_close(loss.discriminator(REAL, FAKE), expected)
    swapped = pick_first(FAKE, REAL) + pick_first(-REAL, -FAKE)
    torch.testing.assert_close(loss.generator(FAKE, REAL), swapped)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_relativistic() -> None:
    """The reals are ahead by 5 and by -1/2."""
    expected = (softplus(-5) + softplus(0.5)) / 2
    assert float(Relativistic().discriminator(REAL, FAKE)) == pytest.approx(expected)
    expected = (softplus(5) + softplus(-0.5)) / 2
    assert float(Relativistic().generator(FAKE, REAL)) == pytest.approx(expected)


def test_each_real_is_paired_with_all_fakes_of_its_place() -> None:
    real = torch.tensor([[1.0, 10.0], [2.0, 20.0]])  # two logits per image
    fake = torch.arange(12.0).reshape(6, 2)
    expected = [[1.0, 9.0], [0.0, 17.0], [-3.0, 5.0], [-4.0, 13.0], [-7.0, 1.0], [-8.0, 9.0]]
    assert lead(real, fake).tolist() == expected
    assert Relativistic().discriminator(real, fake).item() == pytest.approx(
        sum(softplus(-value) for row in expected for value in row) / 12, rel=1e-5
    )
    with pytest.raises(UserError, match="3 fakes cannot be paired with 2 reals"):
        Relativistic().discriminator(real, fake[:3])


def test_how_sure_a_discriminator_is() -> None:
    real, fake = (
        torch.tensor([[3.0], [2.0], [1.0], [-1.0]]),
        torch.tensor([[4.0]] * 2 + [[-2.0]] * 2),
    )
    assert mean_sign(Hinge(), real, fake).item() == 0.5
    assert mean_sign(Relativistic(), real, fake).item() == 0.0
    # Shifting all logits changes nothing that a relativistic discriminator has learnt.
    assert mean_sign(Relativistic(), real - 9, fake - 9).item() == 0.0
    assert mean_sign(Hinge(), real.bfloat16(), fake).dtype == torch.float32


def test_non_saturating() -> None:
    expected = (softplus(-2) + softplus(-0.5)) / 2 + (softplus(-3) + softplus(1)) / 2
    assert float(NonSaturating().discriminator(REAL, FAKE)) == pytest.approx(expected)
    assert float(NonSaturating().generator(FAKE)) == pytest.approx((softplus(3) + softplus(-1)) / 2)


@pytest.mark.parametrize("loss", [Hinge(), NonSaturating(), DualContrastive(), Relativistic()])
def test_high_logits_mean_real(loss: AdversarialLoss) -> None:
    right = loss.discriminator(torch.ones(4, 1), -torch.ones(4, 1))
    wrong = loss.discriminator(-torch.ones(4, 1), torch.ones(4, 1))
    assert right < wrong
    real = torch.zeros(4, 1)
    assert loss.generator(torch.ones(4, 1), real) < loss.generator(-torch.ones(4, 1), real)


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
