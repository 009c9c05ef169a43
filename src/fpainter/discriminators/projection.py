"""How a class label reaches a discriminator."""

from torch import Tensor, nn

from fpainter.nn.labels import check_label


class Projection(nn.Module):
    """Judge how well features fit a class: ``<e(y), mean of the features over all pixels>``.

    Args:
        num_labels: classes; 0 for none, and then nothing is learned or drawn.
        channels: of the features. e(y) is drawn from N(0, I / channels).

    Raises:
        ValueError: if `num_labels` is negative.

    Source: Miyato & Koyama 2018, *cGANs with Projection Discriminator*, who sum over the pixels.
    """

    def __init__(self, num_labels: int, channels: int) -> None:
        super().__init__()
        if num_labels < 0:
            raise ValueError(f"num_labels must be at least 0; got {num_labels}")
        self.num_labels = num_labels
        self.embedding = None
        if num_labels:
            self.embedding = nn.Embedding(num_labels, channels)
            nn.init.normal_(self.embedding.weight, std=channels**-0.5)

    def forward(self, logits: Tensor, features: Tensor, label: Tensor | None) -> Tensor:
        """Add the fit to logits [B L], for features [B C H W] and label, [B] int64 or None.

        Raises:
            ValueError: if a label is needed and missing, or the other way round.
        """
        check_label(label, self.num_labels)
        if self.embedding is None:
            return logits
        fit = (self.embedding(label) * features.mean(dim=(2, 3))).sum(dim=1, keepdim=True)
        return logits + fit
