"""What the discriminator says of images, and what it learns from that."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fpainter.discriminators.base import Discriminator, Judgement
from fpainter.losses.adversarial import AdversarialLoss, over_heads
from fpainter.losses.regularisers import InputGradientPenalty


class Judged(NamedTuple):
    """Images and the discriminator's opinion of them.

    Attributes:
        images: [B C H W], before augmentation; where a penalty is wanted, they require a gradient.
        judgement: of the augmented images.
    """

    images: Tensor
    judgement: Judgement


def in_float32(device: torch.device, needed: bool) -> AbstractContextManager[Any]:
    """Keep autocast from what has a second derivative."""
    return torch.autocast(device.type, enabled=False) if needed else nullcontext()


def judge(
    discriminator: Discriminator,
    augment: nn.Module,
    images: Tensor,
    penalise: bool,
    auxiliary: bool = False,
) -> Judged:
    """Augment images [B C H W] and judge them.

    Args:
        discriminator: judges.
        augment: changes images before.
        images: reals or fakes.
        penalise: the gradient of the judgement will be penalised.
        auxiliary: ask for the auxiliary loss.
    """
    if not penalise:
        return Judged(images, discriminator(augment(images), auxiliary=auxiliary))
    images = images.detach().to(torch.get_default_dtype()).requires_grad_()
    with in_float32(images.device, True):
        # What may be compiled is the call; compiled code has no second derivatives.
        return Judged(images, discriminator.forward(augment(images), auxiliary=auxiliary))


def discriminator_terms(
    loss: AdversarialLoss,
    real: Judged,
    fake: Judged,
    auxiliary_weight: float,
    regulariser: InputGradientPenalty | None,
    factor: float,
) -> dict[str, Tensor]:
    """Return what the discriminator minimises the sum of, by the names that are reported.

    Args:
        loss: adversarial.
        real: the judged reals.
        fake: the judged fakes.
        auxiliary_weight: factor on the auxiliary loss.
        regulariser: the penalty, where one is due.
        factor: on the penalty.
    """
    with in_float32(real.images.device, regulariser is not None):
        (real_logits, auxiliary), fake_logits = real.judgement, fake.judgement.logits
        terms = {"loss/discriminator": over_heads(loss.discriminator, real_logits, fake_logits)}
        if auxiliary is not None:
            terms["auxiliary"] = auxiliary_weight * auxiliary
        if regulariser is not None:
            terms["penalty"] = factor * regulariser(real_logits, real.images)
            if regulariser.fakes:
                terms["penalty_fake"] = factor * regulariser(fake_logits, fake.images)
    return terms
