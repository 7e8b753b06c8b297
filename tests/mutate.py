"""Damage that knows the format: mutants of image files that get past the first check of a parser."""

import random
import struct
import zlib
from collections.abc import Callable

INTERESTING = (
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    17,
    24,
    127,
    128,
    255,
    256,
    32767,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
)


def mutant(data: bytes, rng: random.Random) -> bytes:
    """Return `data` damaged one to three times, at random but reproducibly."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(_mutators(data))(data, rng) or data
    return data


def _mutators(data: bytes) -> list[Callable[[bytes, random.Random], bytes]]:
    anywhere = [_truncate, _flip_bits, _overwrite, _cut_out, _repeat]
    if data.startswith(b"\x89PNG"):
        return [*anywhere, *[_png_chunk] * 6]
    if data.startswith(b"\xff\xd8"):
        return [*anywhere, *[_jpeg_segment] * 6]
    if data.startswith(b"RIFF"):
        return [*anywhere, *[_webp_chunk] * 6]
    return [*anywhere, *[_tiff_entry] * 8]


# -- anywhere ---------------------------------------------------------------------------------------------------


def _truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _flip_bits(data: bytes, rng: random.Random) -> bytes:
    flipped = bytearray(data)
    for _ in range(rng.choice((1, 1, 8))):
        if flipped:
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 2, 4, 16, 64)))


def _overwrite(data: bytes, rng: random.Random) -> bytes:
    start, stop = _span(data, rng)
    filling = rng.choice((bytes(stop - start), b"\xff" * (stop - start), rng.randbytes(stop - start)))
    return data[:start] + filling + data[stop:]


def _cut_out(data: bytes, rng: random.Random) -> bytes:
    start, stop = _span(data, rng)
    return data[:start] + data[stop:]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    start, stop = _span(data, rng)
    return data[:stop] + data[start:]


# -- parts of containers ----------------------------------------------------------------------------------------


def _edited(parts: list[bytes], rng: random.Random, seal: Callable[[bytes], bytes]) -> bytes:
    """Drop, double, swap or rewrite one part; `seal` repairs what guards a part after a change inside it."""
    if not parts:
        return b""
    at = rng.randrange(len(parts))
    match rng.randrange(5):
        case 0:
            del parts[at]
        case 1:
            parts.insert(rng.randrange(len(parts) + 1), parts[at])
        case 2:
            other = rng.randrange(len(parts))
            parts[at], parts[other] = parts[other], parts[at]
        case 3:
            parts[at] = seal(_flip_bits(parts[at], rng))
        case 4:
            parts[at] = seal(_overwrite(parts[at], rng))
    return b"".join(parts)


def _png_chunk(data: bytes, rng: random.Random) -> bytes:
    parts, at = [], 8
    while at + 12 <= len(data):
        stop = at + 12 + int.from_bytes(data[at : at + 4])
        parts.append(data[at:stop])
        at = stop

    def seal(part: bytes) -> bytes:
        kind, content = part[4:8], part[8:-4]
        if rng.random() < 0.2:
            content = rng.randbytes(rng.randrange(20))
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    return data[:8] + _edited(parts, rng, seal) + data[at:]


def _jpeg_segment(data: bytes, rng: random.Random) -> bytes:
    parts, at = [], 2
    while at + 4 <= len(data) and data[at + 1] != 0xDA:
        stop = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        parts.append(data[at:stop])
        at = stop

    def seal(part: bytes) -> bytes:
        if rng.random() < 0.3:  # keep the lie about the length
            return part
        return b"\xff" + part[1:2] + struct.pack(">H", len(part) - 2 & 0xFFFF) + part[4:]

    return data[:2] + _edited(parts, rng, seal) + data[at:]


def _webp_chunk(data: bytes, rng: random.Random) -> bytes:
    parts, at = [], 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        stop = at + 8 + length + length % 2
        parts.append(data[at:stop])
        at = stop
    body = _edited(parts, rng, lambda part: part)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _tiff_entry(data: bytes, rng: random.Random) -> bytes:
    """Rewrite number, type, count or value of one entry of the first directory, often with a telling number."""
    order = "little" if data[:2] == b"II" else "big"
    if len(data) < 10 or data[2:4] not in (b"*\0", b"\0*"):
        return _flip_bits(data, rng)
    start = int.from_bytes(data[4:8], order)
    count = int.from_bytes(data[start : start + 2], order)
    if not count or start + 2 + 12 * count > len(data):
        return _flip_bits(data, rng)
    entry = start + 2 + 12 * rng.randrange(count)
    offset, width = rng.choice(((0, 2), (2, 2), (4, 4), (8, 4), (8, 2), (8, 2)))
    old = int.from_bytes(data[entry + offset : entry + offset + width], order)
    new = rng.choice((*INTERESTING, old + 1, old - 1, old * 2, len(data))) % (1 << 8 * width)
    return data[: entry + offset] + new.to_bytes(width, order) + data[entry + offset + width :]
