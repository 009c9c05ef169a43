"""Seeds of random streams: what is drawn depends on a seed and an index, not on what came before.

torch's CPU generator reads the low 32 bits of its seed only. An ordinary hash of (seed, index)
would give two of 50,000 indices the same state in one run of four; a keyed permutation of the index
cannot.
"""

import hashlib

_INDICES = 2**32


def stream_seed(seed: int, index: int, stream: str = "") -> int:
    """Return 32 bits that are a one-to-one function of the index, for each seed and stream.

    Args:
        seed: any integer of up to 64 bits.
        index: in [0, 2³²), such as an iteration, a pass over the data, or the number of an image.
        stream: what is drawn; streams of one seed have nothing to do with each other. The empty
            one is that of the latents of painted images.

    Raises:
        ValueError: if the index is out of range.
    """
    if not 0 <= index < _INDICES:
        raise ValueError(f"index must be in [0, {_INDICES}), got {index}")
    if stream:
        seed ^= int.from_bytes(hashlib.sha256(stream.encode()).digest()[:8], "big")
    key = _mix64(seed)
    return _mix32(_mix32(index ^ (key & 0xFFFFFFFF)) ^ (key >> 32))


def _mix64(x: int) -> int:
    """SplitMix64: a one-to-one map of 64-bit integers that leaves no visible structure."""
    x = (x + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return x ^ (x >> 31)


def _mix32(x: int) -> int:
    """MurmurHash3's finaliser: a one-to-one map of 32-bit integers."""
    x = ((x ^ (x >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    x = ((x ^ (x >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return x ^ (x >> 16)
