"""Seeded damage to files: what disks, networks and attackers make of valid ones."""

import random
import struct
import zlib
from collections.abc import Callable

Mutation = Callable[[random.Random, bytes, bytes], bytes]

# Lengths and counts that parsers get wrong: signs, borders of 16, 32 and 64 bits, nearly zero.
_NUMBERS = (
    *range(9),
    *(1 << bits for bits in (7, 8, 15, 16, 24, 31, 32, 40, 62, 63)),
    *((1 << bits) - 1 for bits in (7, 8, 15, 16, 24, 31, 32, 40, 62, 63, 64)),
)


def mutate(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Damage a file in one to three ways.

    Args:
        rng: decides how.
        data: the file.
        other: another valid file, to splice with.
    """
    for _ in range(rng.randint(1, 3)):
        data = rng.choice(_MUTATIONS)(rng, data, other)
    return data


def with_right_checksums(png: bytes) -> bytes:
    """Correct the CRC of every chunk of a PNG, so that its damage gets past the first check."""
    result, position = bytearray(png[:8]), 8
    while position + 12 <= len(png):
        (length,) = struct.unpack_from(">I", png, position)
        end = min(position + 8 + length, len(png) - 4)
        chunk = png[position:end]
        result += chunk + struct.pack(">I", zlib.crc32(chunk[4:]))
        position = end + 4
    return bytes(result + png[position:])


def _position(rng: random.Random, data: bytes) -> int:
    # Headers decide more than what follows them.
    return rng.randrange(min(len(data), 200) if rng.random() < 0.5 else len(data) or 1)


def _flip_bits(rng: random.Random, data: bytes, _: bytes) -> bytes:
    result = bytearray(data)
    for _flip in range(rng.choice((1, 1, 2, 8, 50)) if data else 0):
        result[_position(rng, data)] ^= 1 << rng.randrange(8)
    return bytes(result)


def _overwrite(rng: random.Random, data: bytes, _: bytes) -> bytes:
    start, length = _position(rng, data or b"0"), rng.choice((1, 2, 4, 16, 300))
    noise = rng.choice((rng.randbytes(length), bytes(length), b"\xff" * length))
    return data[:start] + noise + data[start + length :]


def _write_number(rng: random.Random, data: bytes, _: bytes) -> bytes:
    size, order = rng.choice((1, 2, 4, 8)), rng.choice(("big", "little"))
    number = (rng.choice(_NUMBERS) % (1 << 8 * size)).to_bytes(size, order)
    start = _position(rng, data or b"0")
    return data[:start] + number + data[start + size :]


def _truncate(rng: random.Random, data: bytes, _: bytes) -> bytes:
    return data[: _position(rng, data or b"0")]


def _remove(rng: random.Random, data: bytes, _: bytes) -> bytes:
    start = _position(rng, data or b"0")
    return data[:start] + data[start + rng.choice((1, 2, 4, 100)) :]


def _duplicate(rng: random.Random, data: bytes, _: bytes) -> bytes:
    start, length = _position(rng, data or b"0"), rng.choice((1, 4, 40, 400))
    block = data[start : start + length] * rng.choice((1, 2, 100))
    return data[:start] + block + data[start:]


def _splice(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: _position(rng, data or b"0")] + other[_position(rng, other) :]


def _grow(rng: random.Random, data: bytes, _: bytes) -> bytes:
    start = rng.choice((len(data), _position(rng, data or b"0")))
    return data[:start] + bytes([rng.randrange(256)]) * rng.choice((1, 100, 65536)) + data[start:]


def _change_digit(rng: random.Random, data: bytes, _: bytes) -> bytes:
    """Make another number or sign of one that is written in decimal, as JSON has them."""
    digits = [index for index, byte in enumerate(data[:4000]) if chr(byte).isdigit()]
    if not digits:
        return data
    start = rng.choice(digits)
    text = rng.choice((b"0", b"9", b"-", b"7777", b"1e9", b".5", b"1" * 25, b"NaN", b"null", b"[]"))
    return data[:start] + text + data[start + 1 :]


_MUTATIONS: list[Mutation] = [
    *(_flip_bits, _overwrite, _write_number, _write_number, _truncate),
    *(_remove, _duplicate, _splice, _grow, _change_digit),
]
