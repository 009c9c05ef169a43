"""Adversarial losses. One sign convention: a high logit means judged real."""

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor


class AdversarialLoss(Protocol):
    """Both players' losses for one head of logits.

    Attributes:
        generator_compares: the generator's loss needs the logits of reals, too.
    """

    generator_compares: bool

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the discriminator's loss, a scalar, for logits of reals and fakes [B L]."""
        ...

    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        """Return the generator's loss, a scalar, for logits [B L]; `real` only if it compares."""
        ...


class Hinge:
    """Hinge: ``mean relu(1 - D(real)) + mean relu(1 + D(fake))`` against ``-mean D(fake)``.

    Args:
        pooled: divide the sum over reals and fakes by the number of both, as the released code
            does for its U-Net models and intermediate canvases: half as strong against the
            penalty and the auxiliary loss when there are as many fakes as reals.

    Source: Lim & Ye 2017; the loss of LightGAN and of the paper.
    """

    generator_compares = False

    def __init__(self, pooled: bool = False) -> None:
        self.pooled = pooled

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the discriminator's loss for logits [B L]."""
        if self.pooled:
            total = F.relu(1 - real).sum() + F.relu(1 + fake).sum()
            return total / (real.numel() + fake.numel())
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Return the generator's loss for logits [B L]."""
        return -fake.mean()


class NonSaturating:
    """Logistic: ``softplus(-D(real)) + softplus(D(fake))`` against ``softplus(-D(fake))``.

    Source: Goodfellow et al. 2014, the non-saturating form; the loss of StyleGAN2.
    """

    generator_compares = False

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the discriminator's loss for logits [B L]."""
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Return the generator's loss for logits [B L]."""
        return F.softplus(-fake).mean()


class DualContrastive:
    """Tell each real from all fakes of the batch, and each fake from all reals.

    ``mean_i softplus(logsumexp_j D(fake_j) - D(real_i))`` plus the same with the roles and signs
    exchanged; the generator's loss is the discriminator's with reals and fakes exchanged.

    Source: Yu et al. 2021, *Dual Contrastive Loss and Attention for GANs*.
    """

    generator_compares = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the discriminator's loss for logits [B L]."""
        real, fake = real.flatten(), fake.flatten()
        real_among_fakes = F.softplus(fake.logsumexp(0) - real).mean()
        fake_among_reals = F.softplus((-real).logsumexp(0) + fake).mean()
        return real_among_fakes + fake_among_reals

    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        """Return the generator's loss for logits of fakes and reals [B L]."""
        assert real is not None
        return self.discriminator(real=fake, fake=real)
