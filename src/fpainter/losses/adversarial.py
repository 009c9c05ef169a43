"""Adversarial losses. One sign convention: a high logit means judged real."""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from fpainter.errors import UserError


class AdversarialLoss(Protocol):
    """Both players' losses for one head of logits.

    Attributes:
        generator_compares: only differences between logits of reals and of fakes count, so the
            generator's loss needs the logits of reals, too.
    """

    generator_compares: bool

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the discriminator's loss, a scalar, for logits of reals and fakes [B L]."""
        ...

    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        """Return the generator's loss, a scalar, for logits [B L]; `real` only if it compares."""
        ...


def over_heads(loss: Callable[..., Tensor], *logits: Sequence[Tensor | None]) -> Tensor:
    """Sum a player's loss over the heads.

    Args:
        loss: of one head; a player's of an `AdversarialLoss`.
        logits: for each of its arguments, those of all heads.
    """
    return torch.stack([loss(*head) for head in zip(*logits, strict=True)]).sum()


def lead(real: Tensor, fake: Tensor) -> Tensor:
    """Return by how much each fake's logits are lower than those of the real at its place.

    Args:
        real: logits of reals [B L].
        fake: logits of fakes [n·B L]; where there are several for each latent, real i belongs to
            fakes i, B + i, 2 B + i, ..., which are of one latent.

    Returns:
        [n·B L].

    Raises:
        UserError: if the number of fakes is no multiple of that of reals.
    """
    if len(fake) % len(real):
        raise UserError(
            f"{len(fake)} fakes cannot be paired with {len(real)} reals, which do not divide them; "
            "model/loss=nonsaturating compares no pairs"
        )
    return (real - fake.unflatten(0, (-1, len(real)))).flatten(0, 1)


def mean_sign(loss: AdversarialLoss, real: Tensor, fake: Tensor) -> Tensor:
    """Say how sure the discriminator is of the reals, a scalar in [-1, 1]; 0 is chance.

    The mean sign of the logits of reals, or, where only differences count, of what they are ahead
    of the fakes at their places: 0.6 then means that four of five pairs are told apart rightly.

    Args:
        loss: what the logits are trained by.
        real: logits of reals [B L].
        fake: logits of fakes [n·B L].
    """
    sure = lead(real, fake) if loss.generator_compares else real
    return sure.detach().sign().mean(dtype=torch.get_default_dtype())


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


class Relativistic:
    """Judge pairs: ``mean softplus(-(D(real) - D(fake)))``, with the roles exchanged for G.

    A fake is paired with the real at its place; where there are several fakes for each latent,
    each of them is paired with the same real.

    Source: Jolicoeur-Martineau 2018 (RpGAN); Huang et al. 2024 (R3GAN), with both penalties of
    `R1`.
    """

    generator_compares = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the discriminator's loss for logits of reals [B L] and fakes [n·B L]."""
        return F.softplus(-lead(real, fake)).mean()

    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        """Return the generator's loss for logits of fakes [n·B L] and reals [B L]."""
        assert real is not None
        return F.softplus(lead(real, fake)).mean()
