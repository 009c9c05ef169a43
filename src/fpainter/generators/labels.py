"""How a class label reaches a generator."""

from torch import Tensor, nn

from fpainter.nn.labels import check_label


class JoinLabel(nn.Module):
    """Add a learned vector per class to the latent: ``z + e(y)``, e(y) drawn from N(0, I) at first.

    What reads a latent begins with a linear map. To it, the sum is what the latent and an embedding
    side by side are, ``W z + W' e'(y)``, while no part needs another size, and a painter that cuts
    the latent into slices has its label in each of them.

    Args:
        num_labels: classes; 0 for none, and then nothing is learned or drawn.
        d_latent: size of z.

    Raises:
        ValueError: if `num_labels` is negative.
    """

    def __init__(self, num_labels: int, d_latent: int) -> None:
        super().__init__()
        if num_labels < 0:
            raise ValueError(f"num_labels must be at least 0; got {num_labels}")
        self.num_labels = num_labels
        self.embedding = nn.Embedding(num_labels, d_latent) if num_labels else None

    def forward(self, z: Tensor, label: Tensor | None) -> Tensor:
        """Map z [B d_latent] and label, [B] int64 or None, to [B d_latent].

        Raises:
            ValueError: if a label is needed and missing, or the other way round.
        """
        check_label(label, self.num_labels)
        return z if self.embedding is None else z + self.embedding(label)
