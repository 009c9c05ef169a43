"""Class labels as networks take them: one class index for each image, [B] int64."""

from torch import Tensor


def check_label(label: Tensor | None, num_labels: int) -> None:
    """Refuse a label where a network has no classes, and classes without a label.

    Raises:
        ValueError: if only one of the two is there.
    """
    if not num_labels and label is not None:
        raise ValueError("got labels, but the network was built without (num_labels=0)")
    if num_labels and label is None:
        raise ValueError(f"the network has num_labels={num_labels}: give it a label for each image")
