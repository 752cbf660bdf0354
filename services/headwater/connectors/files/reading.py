"""Rows of a CSV file or of JSON lines, one by one; a bad row is told with its number and reason, never dropped.

Reads as it goes: a file of any length takes the memory of a row.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from headwater.connectors.files.detecting import LINES_SAMPLED, delimiter_of, encoding_of
from headwater.kernel.errors import InvalidInput

RAW_CHARS_MAX: Final = 2000
"""Of a bad row, what is kept for people."""
COLUMNS_MAX: Final = 2000
LINE_CHARS_MAX: Final = 1_000_000
"""Longest line; a file without line ends must not be read whole."""

Kind = Literal["csv", "jsonl"]
_SURROGATE: Final = re.compile(r"[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class Good:
    """A row that was read; *number* counts from 1, bad ones too."""

    number: int
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that was not; *reason* is for counting, *detail* and *raw* for people."""

    number: int
    reason: str
    detail: str
    raw: str


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is to be read: found out, or told."""

    kind: Kind
    encoding: str
    how: str
    delimiter: str = ","


def layout_of(file: Path, *, kind: str = "", encoding: str = "", delimiter: str = "") -> Layout:
    """Return how to read *file*; what is given is believed, the rest found out.

    Raises:
        InvalidInput: neither name nor option says CSV or JSON lines, or no encoding fits.
    """
    named = kind or {"csv": "csv", "tsv": "csv", "txt": "csv", "jsonl": "jsonl", "ndjson": "jsonl"}.get(
        file.suffix.lower().lstrip("."), ""
    )
    if named not in {"csv", "jsonl"}:
        raise InvalidInput(
            f"{file.name}: say what it is by --format csv or --format jsonl", reason="NO_FORMAT"
        )
    written = encoding_of(file) if not encoding else None
    codec, how = (written.encoding, written.how) if written else (encoding, "given")
    if named == "jsonl":
        return Layout("jsonl", codec, how)
    with file.open(encoding=codec, errors="replace", newline="") as lines:
        sample = [line for line, _ in zip(lines, range(LINES_SAMPLED), strict=False)]
    return Layout("csv", codec, how, delimiter or delimiter_of(sample))


def read_rows(file: Path, layout: Layout) -> Iterator[Good | Bad]:
    """Yield every row of *file*.

    Raises:
        InvalidInput: the header is missing, has an empty name or one twice: no row could be trusted.
    """
    with file.open(encoding=layout.encoding, errors="surrogateescape", newline="") as lines:
        yield from _csv_rows(_bounded(lines), layout.delimiter) if layout.kind == "csv" else _json_rows(lines)


def _bounded(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if len(line) > LINE_CHARS_MAX:
            raise InvalidInput(f"a line has more than {LINE_CHARS_MAX} characters", reason="LINE_TOO_LONG")
        yield line


def _csv_rows(lines: Iterable[str], delimiter: str) -> Iterator[Good | Bad]:
    reader = csv.reader(lines, delimiter=delimiter)
    header = [name.strip() for name in next(reader, [])]
    _check_header(header)
    number = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            number += 1
            yield Bad(number, "bad_csv", f"row {number}: {error}", "")
            continue
        if cells:  # an empty line is no row
            number += 1
            yield _row(number, header, cells, delimiter)


def _row(number: int, header: list[str], cells: list[str], delimiter: str) -> Good | Bad:
    raw = delimiter.join(cells)
    if len(cells) != len(header):
        few = "few" if len(cells) < len(header) else "many"
        told = f"row {number} has {len(cells)} cells, the header {len(header)}"
        return _bad(number, f"too_{few}_cells", told, raw)
    if _SURROGATE.search(raw):
        return _bad(
            number, "bad_text", f"row {number} has bytes that are no text in the file's encoding", raw
        )
    return Good(number, dict(zip(header, cells, strict=True)))


def _json_rows(lines: Iterable[str]) -> Iterator[Good | Bad]:
    number = 0
    for line in _bounded(lines):
        if not line.strip():
            continue
        number += 1
        if _SURROGATE.search(line):
            yield _bad(number, "bad_text", f"line {number} has bytes that are no text", line)
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield _bad(number, "bad_json", f"line {number}: {error}", line)
            continue
        if isinstance(record, dict):
            yield Good(number, record)
        else:
            yield _bad(number, "bad_json", f"line {number} is no JSON object", line)


def _bad(number: int, reason: str, detail: str, raw: str) -> Bad:
    shown = raw[:RAW_CHARS_MAX].encode("utf-8", "backslashreplace").decode()
    return Bad(number, reason, detail, shown.replace("\0", "\\0").strip())


def _check_header(header: list[str]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if not header:
        raise InvalidInput("the file has no header", reason="NO_HEADER")
    if len(header) > COLUMNS_MAX:
        raise InvalidInput(f"the header has more than {COLUMNS_MAX} columns", reason="TOO_MANY_COLUMNS")
    if "" in header or twice:
        named = f"{', '.join(twice)} twice" if twice and twice != [""] else "an empty name"
        raise InvalidInput(
            f"the header has {named}; give every column a name of its own", reason="BAD_HEADER"
        )
