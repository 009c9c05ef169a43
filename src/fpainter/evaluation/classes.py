"""Scores of painters that take labels: which classes fakes are of, and the reals of one class."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from fpainter.errors import UserError
from fpainter.evaluation.features import Images
from fpainter.generators.base import Generator
from fpainter.nn.seeds import stream_seed


def labels_like(
    images: Images, generator: Generator, seed: int, indices: Sequence[int]
) -> Tensor | None:
    """Draw the label of fake i as a function of (seed, i) alone, from those of the real images.

    Args:
        images: the real images.
        generator: of the fakes.
        seed: any integer of up to 64 bits.
        indices: numbers of the fakes, each in [0, 2³²).

    Returns:
        [B] int64; None where the generator takes no labels.

    Raises:
        UserError: if it does, and the images have none or other classes.
    """
    if not generator.num_labels:
        return None
    labels = getattr(images, "labels", None)
    if labels is None:
        raise UserError(
            f"the painter paints {generator.num_labels} classes, and the real images have no "
            "labels; give data.labels=true"
        )
    places = [stream_seed(seed, index, "label") % len(labels) for index in indices]
    return labels[places]


@dataclass(eq=False)
class OneClass:
    """The real images of one class, as a set of their own.

    Attributes:
        whole: all images, with ``labels`` [N].
        label: the class.
    """

    whole: Images
    label: int

    @cached_property
    def places(self) -> list[int]:
        """Return the indices of the images in the whole set."""
        labels: Tensor = getattr(self.whole, "labels", torch.empty(0))
        return (labels == self.label).nonzero().flatten().tolist()

    @property
    def fingerprint(self) -> str:
        """Changes whenever a pixel, the order or a label does."""
        content = f"{self.whole.fingerprint} class {self.label}"
        return hashlib.sha256(content.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.places)

    def batch(self, indices: Sequence[int], /) -> Tensor:
        """Return images uint8 [B C H W]."""
        return self.whole.batch([self.places[index] for index in indices])
