"""Reads the PNG that a browser paints: 8 bits a channel, RGB or RGBA, not interlaced. Pure."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
CHANNELS: Final = {2: 3, 6: 4}
"""By the format's colour type."""

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Picture:
    """What was painted."""

    width: int
    height: int
    channels: int
    rows: tuple[bytes, ...]

    def at(self, x: int, y: int) -> Colour:
        """Return the colour of a pixel, from the top left."""
        start = x * self.channels
        red, green, blue = self.rows[y][start : start + 3]
        return red, green, blue


def read_png(data: bytes) -> Picture:
    """Return a picture.

    Raises:
        ValueError: it is no PNG of the forms that browsers paint.
    """
    if not data.startswith(SIGNATURE):
        raise ValueError("no PNG")
    at, parts = len(SIGNATURE), dict[bytes, bytes]()
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        parts[kind] = parts.get(kind, b"") + data[at + 8 : at + 8 + size]
        at += 12 + size
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    if depth != 8 or colour not in CHANNELS or interlaced:
        raise ValueError(f"depth {depth}, colour type {colour}, interlaced {interlaced}: not read here")
    channels = CHANNELS[colour]
    return Picture(
        width, height, channels, _unfiltered(zlib.decompress(parts[b"IDAT"]), width * channels, channels)
    )


def _unfiltered(raw: bytes, row_bytes: int, step: int) -> tuple[bytes, ...]:
    """Undo the filters of each row (PNG specification, section 9)."""
    rows: list[bytes] = []
    above = bytes(row_bytes)
    for start in range(0, len(raw), row_bytes + 1):
        kind, row = raw[start], bytearray(raw[start + 1 : start + 1 + row_bytes])
        for at in range(row_bytes) if kind else ():
            left = row[at - step] if at >= step else 0
            corner = above[at - step] if at >= step else 0
            guess = (left, above[at], (left + above[at]) // 2, _paeth(left, above[at], corner))[kind - 1]
            row[at] = (row[at] + guess) & 0xFF
        above = bytes(row)
        rows.append(above)
    return tuple(rows)


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((left, up, corner), key=lambda one: abs(guess - one))
