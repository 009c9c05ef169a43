"""What training asks of any discriminator."""

from typing import NamedTuple, Protocol

from torch import Tensor


class Judgement(NamedTuple):
    """A discriminator's opinion of a batch.

    Attributes:
        logits: one tensor [B L] per head; high means judged real. Heads may have several logits
            per image.
        auxiliary_loss: a scalar that keeps the discriminator's features informative, or None.
    """

    logits: tuple[Tensor, ...]
    auxiliary_loss: Tensor | None = None


class Discriminator(Protocol):
    """A network that judges images."""

    def __call__(self, x: Tensor, auxiliary: bool = False) -> Judgement:
        """Judge x [B C H W]; compute the auxiliary loss only when asked."""
        ...
