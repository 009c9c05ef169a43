"""What the discriminator says of images, and what it learns from that."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fpainter.data.loader import Batch
from fpainter.discriminators.base import Discriminator, Judgement
from fpainter.generators.base import Generator
from fpainter.losses.adversarial import AdversarialLoss, over_heads
from fpainter.losses.regularisers import InputGradientPenalty
from fpainter.nn.image_range import ImageRange


class Judged(NamedTuple):
    """Images and the discriminator's opinion of them.

    Attributes:
        images: [B C H W], before augmentation; where a penalty is wanted, they require a gradient.
        judgement: of the augmented images.
    """

    images: Tensor
    judgement: Judgement


class Reals(NamedTuple):
    """Real images [B C H W] and, if there are labels, their classes [B] int64."""

    images: Tensor
    label: Tensor | None


def micro_batches(batch: Batch, image_range: ImageRange, num: int) -> tuple[Reals, ...]:
    """Cut a batch into `num` parts, which must divide it, its bytes mapped to the image range."""
    images, label = (batch, None) if isinstance(batch, Tensor) else batch
    parts = image_range.from_bytes(images).chunk(num)
    labels = (None,) * num if label is None else label.chunk(num)
    return tuple(map(Reals, parts, labels))


def label_of_each(label: Tensor | None, fakes: Tensor) -> Tensor | None:
    """Return the label of each fake [n·B], of which there may be several for each latent."""
    return None if label is None else label.repeat(len(fakes) // len(label))


def in_float32(device: torch.device, needed: bool) -> AbstractContextManager[Any]:
    """Keep autocast from what has a second derivative."""
    return torch.autocast(device.type, enabled=False) if needed else nullcontext()


def judge(
    discriminator: Discriminator,
    augment: nn.Module,
    images: Tensor,
    penalise: bool,
    auxiliary: bool = False,
    label: Tensor | None = None,
) -> Judged:
    """Augment images [B C H W] and judge them.

    Args:
        discriminator: judges.
        augment: changes images before.
        images: reals or fakes.
        penalise: the gradient of the judgement will be penalised.
        auxiliary: ask for the auxiliary loss.
        label: class indices of the images, if there are labels.
    """
    if not penalise:
        return Judged(images, discriminator(augment(images), auxiliary=auxiliary, label=label))
    images = images.detach().to(torch.get_default_dtype()).requires_grad_()
    with in_float32(images.device, True):
        # What may be compiled is the call; compiled code has no second derivatives.
        judgement = discriminator.forward(augment(images), auxiliary=auxiliary, label=label)
        return Judged(images, judgement)


def painted(generator: Generator, reals: Reals, z: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return fakes [n·B C H W] without a graph, and their labels, if the reals have labels.

    Args:
        generator: paints.
        reals: whose labels the fakes get.
        z: latents [B d_latent].
    """
    with torch.no_grad():
        fakes = generator.fakes(z, reals.label).images
    return fakes, label_of_each(reals.label, fakes)


def generator_loss(
    loss: AdversarialLoss,
    fake: Judgement,
    reals: Reals,
    discriminator: Discriminator,
    augment: nn.Module,
) -> Tensor:
    """Return the generator's adversarial loss; reals are judged only if it compares with them."""
    real: tuple[Tensor | None, ...] = (None,) * len(fake.logits)
    if loss.generator_compares:
        with torch.no_grad():
            real = discriminator(augment(reals.images), label=reals.label).logits
    return over_heads(loss.generator, fake.logits, real)


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
        terms |= penalty_terms(regulariser, factor, real, fake)
    return terms


def penalty_terms(
    regulariser: InputGradientPenalty, factor: float, real: Judged, fake: Judged | None
) -> dict[str, Tensor]:
    """Return the penalty on reals and, where the regulariser is for them, too, on fakes.

    Args:
        regulariser: the penalty.
        factor: on it.
        real: the judged reals, which require a gradient.
        fake: the judged fakes; they do, too, if they are penalised.
    """
    with in_float32(real.images.device, True):
        terms = {"penalty": factor * regulariser(real.judgement.logits, real.images)}
        if regulariser.fakes and fake is not None:
            terms["penalty_fake"] = factor * regulariser(fake.judgement.logits, fake.images)
    return terms
