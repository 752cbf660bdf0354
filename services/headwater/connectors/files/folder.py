"""The records of one object in one folder, whole after every crash.

Owns the files of the folder. A batch is one segment (`changes-000000000007.jsonl`), written aside, synced and renamed;
a snapshot holds all records once and replaces its forerunner by a rename. Segments say which fields were set, so
reading one again over a newer snapshot changes nothing as long as no later one is missing: they are therefore removed
oldest first, after the snapshot that holds them. Blocking: to be called in a thread.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

SEGMENTS_MAX: Final = 64
"""Segments before the folder is compacted: reading it stays cheap."""
RECORDS_MAX: Final = 1_000_000
"""Records of one folder; they are held in memory while the account is open."""
SNAPSHOT: Final = "snapshot.jsonl"
RENDITION: Final = "snapshot.csv"

_SEGMENT: Final = re.compile(r"changes-([0-9]{12})\.jsonl")
_ASIDE: Final = ".aside"

Row = dict[str, Any]


class FolderFull(Exception):
    """The folder holds as many records as it may."""


class Folder:
    """The records of one object; used by one account at a time, one call after another."""

    def __init__(self, place: Path, key: str, *, renders_csv: bool, segments_max: int = SEGMENTS_MAX) -> None:
        self._place = place
        self._key = key
        self._renders_csv = renders_csv
        self._segments_max = segments_max
        self._rows: dict[str, Row] = {}
        self._segments: list[Path] = []
        self._next = 1
        self._read()

    def row(self, external_id: str) -> Row | None:
        """Return a record, None when there is none."""
        return self._rows.get(external_id)

    def write(self, changes: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, bool]:
        """Set fields of records, all of them or none; return which were created.

        Raises: OSError when nothing is kept; FolderFull.
        """
        listed = list(changes)
        created = {external_id: external_id not in self._rows for external_id, _fields in listed}
        if len(self._rows) + sum(created.values()) > RECORDS_MAX:
            raise FolderFull(f"{self._place.name} holds {RECORDS_MAX} records, its most")
        lines = [{self._key: external_id, **fields} for external_id, fields in listed]
        segment = self._place / f"changes-{self._next:012}.jsonl"
        _put(segment, msgspec.json.Encoder().encode_lines(lines))
        self._next += 1
        self._segments.append(segment)
        self._apply(lines)
        if len(self._segments) >= self._segments_max:
            self.compact()
        return created

    def compact(self) -> None:
        """Write every record once, then drop the segments. Raises: OSError; nothing is lost then."""
        rows = [self._rows[external_id] for external_id in sorted(self._rows)]
        if self._segments or not (self._place / SNAPSHOT).exists():
            _put(self._place / SNAPSHOT, msgspec.json.Encoder().encode_lines(rows))
            if self._renders_csv:
                _put(self._place / RENDITION, _as_csv(rows, self._key))
        while self._segments:
            self._segments[0].unlink(missing_ok=True)
            self._segments.pop(0)

    def _read(self) -> None:
        self._place.mkdir(parents=True, exist_ok=True)
        for left in self._place.glob(f"*{_ASIDE}"):
            left.unlink()
        found = sorted(item for item in self._place.iterdir() if _SEGMENT.fullmatch(item.name))
        for file in (self._place / SNAPSHOT, *found):
            if file.exists():
                self._apply(msgspec.json.Decoder(Row).decode_lines(file.read_bytes()))
        self._segments = found
        self._next = int(found[-1].name[8:20]) + 1 if found else 1

    def _apply(self, lines: Iterable[Row]) -> None:
        for line in lines:
            self._rows.setdefault(str(line[self._key]), {}).update(line)


def _put(file: Path, content: bytes) -> None:
    """Make *content* the file, wholly or not at all, and for good."""
    aside = file.with_name(file.name + _ASIDE)
    with aside.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    aside.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _as_csv(rows: list[Row], key: str) -> bytes:
    names = [key, *sorted({name for row in rows for name in row} - {key})]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(names)
    writer.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return out.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
