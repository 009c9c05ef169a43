"""What training asks of any discriminator."""

from typing import NamedTuple

from torch import Tensor, nn


class Judgement(NamedTuple):
    """A discriminator's opinion of a batch.

    Attributes:
        logits: one tensor [B L] per head; high means judged real. Heads may have several logits
            per image.
        auxiliary_loss: a scalar that keeps the discriminator's features informative, or None.
    """

    logits: tuple[Tensor, ...]
    auxiliary_loss: Tensor | None = None


class Discriminator(nn.Module):
    """A network that judges images: ``(x [B C H W], auxiliary=False, label=None) -> Judgement``.

    The auxiliary loss is computed only when asked for. A conditional one needs a label for each
    image, [B] int64 in 0..num_labels-1.

    Attributes:
        num_labels: classes; 0 where there are no labels.
        skips: smaller copies of an image, each half as large as the one before, that can be judged
            in its place.
    """

    num_labels: int = 0
    skips: int = 0
