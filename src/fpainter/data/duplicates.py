"""Pictures that come twice: the same pixels, or nearly the same picture."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

NEAR = 12
"""Pictures are nearly the same if their 256-bit hashes differ in at most so many bits."""

_SIDE = 16
_BLOCK = 1024  # hashes that are compared with each other at a time
_WEIGHTS = np.array([0.299, 0.587, 0.114])  # of ITU-R 601's luma


def exact_hash(pixels: np.ndarray) -> bytes:
    """Return the SHA-256 of an image's shape and bytes.

    Args:
        pixels: uint8 [C H W].
    """
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()


def difference_hash(pixels: np.ndarray) -> np.ndarray:
    """Return the difference hash of an image: whether each pixel is darker than its right one.

    The image is made grey and scaled to 16×17 pixels, antialiased, so that size, compression and
    brightness change few bits of it or none. Pictures without structure have hashes of noise;
    differences of less than a grey level count as none.

    Source: dHash, Krawetz 2013, with 16×16 bits.

    Args:
        pixels: uint8 [C H W], with 1, 3 or 4 channels.

    Returns:
        256 bits as uint8 [32].
    """
    grey = pixels[0] if len(pixels) == 1 else np.tensordot(_WEIGHTS, pixels[:3], axes=1)
    picture = Image.fromarray(np.ascontiguousarray(grey, dtype=np.float32))
    small = np.asarray(picture.resize((_SIDE + 1, _SIDE), Image.Resampling.BOX))
    return np.packbits(small[:, 1:] - small[:, :-1] > 1)


def same(hashes: Iterable[bytes]) -> list[list[int]]:
    """Return the groups of indices at which a hash comes more than once, in order."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for index, each in enumerate(hashes):
        groups[each].append(index)
    return [group for group in groups.values() if len(group) > 1]


def nearly_same(hashes: np.ndarray, distance: int = NEAR) -> list[list[int]]:
    """Return the groups of indices that are connected by pairs of hashes with few different bits.

    Two that differ in at most d bits are equal in one of d + 1 parts at least, so only those that
    have a part in common are compared.

    Args:
        hashes: uint8 [N 32], as `difference_hash` returns.
        distance: the most different bits of a pair, 0 to 31.
    """
    unique, places = np.unique(hashes, axis=0, return_inverse=True)
    parent = list(range(len(unique)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = index = parent[parent[index]]
        return index

    for part in np.array_split(np.unpackbits(unique, axis=1), distance + 1, axis=1):
        keys = np.packbits(part, axis=1)
        order = np.lexsort(keys.T)
        new = np.any(keys[order][1:] != keys[order][:-1], axis=1)
        for members in np.split(order, np.flatnonzero(new) + 1):
            for first, second in _pairs(unique.view(np.uint64), members, distance):
                parent[root(first)] = root(second)
    groups: dict[int, list[int]] = defaultdict(list)
    for index, place in enumerate(places.ravel().tolist()):
        groups[root(place)].append(index)
    return [group for group in groups.values() if len(group) > 1]


def _pairs(words: np.ndarray, members: np.ndarray, distance: int) -> Iterator[tuple[int, int]]:
    """Yield the pairs among some hashes, uint64 [N 4], that differ in few bits."""
    for start in range(0, len(members), _BLOCK) if len(members) > 1 else ():
        first = members[start : start + _BLOCK]
        for other in range(start, len(members), _BLOCK):
            second = members[other : other + _BLOCK]
            bits = np.bitwise_count(words[first, None] ^ words[None, second]).sum(axis=2)
            near = np.argwhere(np.triu(bits <= distance, 1 if other == start else 0))
            yield from ((int(first[i]), int(second[j])) for i, j in near)
