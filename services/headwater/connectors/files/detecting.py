"""What a file that somebody made is written in: its encoding, and what separates its columns.

Decides from bytes. A byte order mark is believed; then a file that is UTF-8 throughout is UTF-8; only else is a
detector asked, with what stands around the first byte that is not UTF-8: the head of a file is often plain ASCII.
"""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from charset_normalizer import from_bytes

from headwater.kernel.errors import InvalidInput

SAMPLE_BYTES: Final = 64 * 1024
"""Bytes that the detector looks at: a second's work at most."""
SCANNED_BYTES: Final = 8 * 1024 * 1024
"""Bytes that are searched for telling lines."""
CLOSE_CHAOS: Final = 0.02
"""How much worse than the best an encoding may fit, by the detector's measure, and still be taken for its commonness."""
_COMMON: Final = ("cp1252", "cp1250", "cp932", "gb18030", "cp1251")
LINES_SAMPLED: Final = 64
DELIMITERS: Final = (",", ";", "\t", "|")

_MARKS: Final[tuple[tuple[bytes, str], ...]] = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark begins it
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Written:
    """How a file is written.

    Args:
        encoding: name of a codec; it takes the byte order mark away.
        how: `mark`, `utf-8` or `detected`: how far it is to be believed.
    """

    encoding: str
    how: str


def encoding_of(file: Path) -> Written:
    """Return how *file* is encoded.

    Raises:
        InvalidInput: it is no text in any encoding that is known.
    """
    with file.open("rb") as content:
        head = content.read(SAMPLE_BYTES)
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return Written(encoding, "mark")
    broken_at = _first_not_utf8(file)
    if broken_at is None and b"\0" not in head:
        return Written("utf-8", "utf-8")
    found = _guess(head if b"\0" in head else _telling(file, broken_at or 0))
    if not found:
        message = (
            f"{file.name} is no text in any known encoding; name it by --encoding, or save the file as UTF-8"
        )
        raise InvalidInput(message, reason="NO_TEXT")
    return Written(found, "detected")


def _guess(sample: bytes) -> str:
    """Return the likeliest encoding, "" when none fits.

    Short texts fit several: of those that fit almost as well as the best, the commonest is taken.
    """
    for threshold in (0.2, 0.5):  # the detector's own, then one for lists of names without any prose
        matches = list(from_bytes(sample, threshold=threshold))
        if matches:
            near = {item.encoding for item in matches if item.chaos <= matches[0].chaos + CLOSE_CHAOS}
            return next((name for name in _COMMON if name in near), matches[0].encoding)
    return ""


def _telling(file: Path, start: int) -> bytes:
    """Return whole lines that hold more than ASCII, from the one around *start* on, each once."""
    kept: dict[bytes, None] = {}
    size = 0
    with file.open("rb") as content:
        content.seek(max(0, start - SAMPLE_BYTES // 4))
        for line in content:
            if not line.isascii() and line not in kept:
                kept[line] = None
                size += len(line)
            if size > SAMPLE_BYTES or content.tell() > start + SCANNED_BYTES:
                break
    return b"".join(kept)[:SAMPLE_BYTES]


def delimiter_of(lines: Iterable[str]) -> str:
    """Return what separates the columns: of the candidates, the one by which most lines have as many as the first.

    A tie goes to the one that makes more columns; a file of one column to the comma.
    """
    sample = [line for line in list(lines)[:LINES_SAMPLED] if len(line) < csv.field_size_limit()]

    def fit(delimiter: str) -> tuple[int, int]:
        try:
            widths = [len(cells) for cells in csv.reader(sample, delimiter=delimiter) if cells]
        except csv.Error:
            return 0, 0
        if not widths or widths[0] < 2:  # noqa: PLR2004 - one column is no table by this
            return 0, 0
        return Counter(widths)[widths[0]], widths[0]

    return max(DELIMITERS, key=fit)


def _first_not_utf8(file: Path) -> int | None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    read = 0
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                return max(0, read - held + error.start)
            read += len(chunk)
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return read
    return None
