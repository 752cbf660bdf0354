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
"""Bytes that the detector looks at, half of them from the head: a second's work at most."""
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
        content.seek(max(0, (broken_at or 0) - SAMPLE_BYTES // 4))
        around = content.read(SAMPLE_BYTES // 2)
    best = from_bytes(head[: SAMPLE_BYTES // 2] + around).best()
    if best is None:
        raise InvalidInput(
            f"{file.name} is no text in any known encoding; save it as UTF-8", reason="NO_TEXT"
        )
    return Written(best.encoding, "detected")


def delimiter_of(lines: Iterable[str]) -> str:
    """Return what separates the columns: of the candidates, the one by which most lines have as many as the first.

    A tie goes to the one that makes more columns; a file of one column to the comma.
    """
    sample = list(lines)[:LINES_SAMPLED]

    def fit(delimiter: str) -> tuple[int, int]:
        widths = [len(cells) for cells in csv.reader(sample, delimiter=delimiter) if cells]
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
