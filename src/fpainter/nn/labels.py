"""Class labels as networks take them: one class index for each image, [B] int64."""

from torch import Tensor, nn


def check_label(label: Tensor | None, embedding: nn.Embedding | None) -> None:
    """Refuse a label where there is no embedding for it, and an embedding without a label.

    Raises:
        ValueError: if only one of the two is there.
    """
    if embedding is None and label is not None:
        raise ValueError("got labels, but the network was built without (num_labels=0)")
    if embedding is not None and label is None:
        num = embedding.num_embeddings
        raise ValueError(f"the network has num_labels={num}: give it a label for each image")
