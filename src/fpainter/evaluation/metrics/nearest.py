"""The nearest images of a set, where an image and its mirror image count as one."""

from typing import NamedTuple

import torch
from torch import Tensor

from fpainter.evaluation.metrics.neighbours import squared_distances


class Nearest(NamedTuple):
    """The K nearest images of each of M others, nearest first; of equally near ones the first.

    Attributes:
        distance: Euclidean, between features, [M K] float64.
        number: of the image in its set, [M K] int64.
        mirrored: whether its mirror image is the nearer one, [M K] bool.
    """

    distance: Tensor
    number: Tensor
    mirrored: Tensor


def nearest_images(
    queries: Tensor,
    images: Tensor,
    mirror_images: Tensor,
    k: int = 1,
    own: Tensor | None = None,
    chunk: int = 1000,
) -> Nearest:
    """Find the nearest images, by their features or by those of their mirror images.

    Distances are good to 1e-6 of the length of a feature vector: that of a copy may be as large.

    Args:
        queries: features [M F] of any floating type.
        images: features [N F] on the same device.
        mirror_images: features [N F] of the same images, mirrored.
        k: how many, K.
        own: for queries that are images of the set, which one each is, [M] int64: it is not found.
        chunk: images looked at together; the result does not depend on it.

    Returns:
        The nearest.

    Raises:
        ValueError: if shapes do not fit, there are fewer than K images to be found, features are
            not finite, or `chunk` is below 1.
    """
    if images.ndim != 2 or images.shape != mirror_images.shape:
        raise ValueError(
            "need features [N F] of images and of their mirror images, got "
            f"{tuple(images.shape)} and {tuple(mirror_images.shape)}"
        )
    if queries.ndim != 2 or queries.shape[1] != images.shape[1]:
        raise ValueError(f"need features [M {images.shape[1]}], got {tuple(queries.shape)}")
    num = len(images) - (own is not None)
    if not 1 <= k <= num:
        raise ValueError(f"cannot find {k} neighbours among {num} images")
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    if not all(features.isfinite().all() for features in (queries, images, mirror_images)):
        raise ValueError("features must be finite, got some infinite or nan")
    # Distances do not see the shift, but the products they come from cancel less.
    centre = images.mean(dim=0, dtype=torch.float64)
    x = queries.double() - centre
    found = Nearest(
        x.new_empty(len(x), 0),
        torch.empty(len(x), 0, dtype=torch.long, device=x.device),
        torch.empty(len(x), 0, dtype=torch.bool, device=x.device),
    )
    for start in range(0, len(images), chunk):
        straight, mirror = (
            squared_distances(x, features[start : start + chunk].double() - centre)
            for features in (images, mirror_images)
        )
        squares = torch.minimum(straight, mirror)  # [M chunk]
        numbers = torch.arange(start, start + squares.shape[1], device=x.device)
        if own is not None:
            squares.masked_fill_(own[:, None] == numbers, torch.inf)
        seen = Nearest(squares, numbers.expand_as(squares), mirror < straight)
        found = Nearest(*(torch.cat(parts, dim=1) for parts in zip(found, seen, strict=True)))
        order = found.distance.argsort(dim=1, stable=True)[:, :k]
        found = Nearest(*(part.gather(1, order) for part in found))
    # Rounding may leave the square of a copy's distance a little below zero.
    return found._replace(distance=found.distance.clamp_min(0).sqrt())
