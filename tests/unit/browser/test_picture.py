"""The reader of screenshots: every filter of the format is undone, and what it cannot read it refuses."""

from __future__ import annotations

import struct
import zlib

import pytest
from tests.browser.picture import SIGNATURE, read_png

PIXELS = (
    (10, 20, 30, 40, 50, 60, 70, 80, 90),
    (11, 25, 29, 200, 3, 255, 0, 128, 91),
    (255, 0, 255, 0, 255, 0, 1, 2, 3),
)
"""Three rows of three pixels, RGB."""


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _filtered(kind: int, row: tuple[int, ...], above: tuple[int, ...]) -> bytes:
    out = [kind]
    for at, value in enumerate(row):
        left, corner = (row[at - 3], above[at - 3]) if at >= 3 else (0, 0)
        up = above[at]
        near = min((left, up, corner), key=lambda one: abs(left + up - corner - one))
        out.append((value - (0, left, up, (left + up) // 2, near)[kind]) % 256)
    return bytes(out)


def _png(kind: int, *, depth: int = 8, colour: int = 2) -> bytes:
    rows = zip(PIXELS, ((0,) * 9, *PIXELS[:-1]), strict=True)
    raw = zlib.compress(b"".join(_filtered(kind, row, above) for row, above in rows))
    head = struct.pack(">IIBBBBB", 3, 3, depth, colour, 0, 0, 0)
    half = len(raw) // 2
    return SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", raw[:half]) + _chunk(b"IDAT", raw[half:])


@pytest.mark.parametrize("kind", range(5))
def test_a_picture_is_what_was_painted_whatever_its_filter(kind: int) -> None:
    """None, Sub, Up, Average, Paeth; the data may come in parts."""
    picture = read_png(_png(kind))
    assert tuple(tuple(row) for row in picture.rows) == PIXELS
    assert picture.at(2, 1) == (0, 128, 91)


@pytest.mark.parametrize("data", [b"GIF89a", _png(0, depth=16), _png(0, colour=3)])
def test_what_is_no_such_picture_is_refused(data: bytes) -> None:
    """Other formats, depths and palettes are not guessed at."""
    with pytest.raises(ValueError, match=r"no PNG|not read here"):
        read_png(data)
