"""Adversarial losses. One sign convention: a high logit means judged real."""

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor


class AdversarialLoss(Protocol):
    """Both players' losses for one head of logits."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the discriminator's loss, a scalar, for logits of reals and fakes [B L]."""
        ...

    def generator(self, fake: Tensor) -> Tensor:
        """Return the generator's loss, a scalar, for logits of fakes [B L]."""
        ...


class Hinge:
    """Hinge: ``mean relu(1 - D(real)) + mean relu(1 + D(fake))`` against ``-mean D(fake)``.

    Source: Lim & Ye 2017; the loss of LightGAN and of the paper.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the discriminator's loss for logits [B L]."""
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()

    def generator(self, fake: Tensor) -> Tensor:
        """Return the generator's loss for logits [B L]."""
        return -fake.mean()


class NonSaturating:
    """Logistic: ``softplus(-D(real)) + softplus(D(fake))`` against ``softplus(-D(fake))``.

    Source: Goodfellow et al. 2014, the non-saturating form; the loss of StyleGAN2.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the discriminator's loss for logits [B L]."""
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    def generator(self, fake: Tensor) -> Tensor:
        """Return the generator's loss for logits [B L]."""
        return F.softplus(-fake).mean()
