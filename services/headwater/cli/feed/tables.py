"""Reads CSV files and JSON lines: each row is a record, its columns the payload as the source words it."""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from headwater.cli.feed.rows import Row, Unreadable, read_moment
from headwater.kernel.ids import EXTERNAL_ID_CHARS_MAX


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns say what.

    Args:
        id_column: holds the source's id of the record; dots reach into nested objects.
        time_column: holds when it became true; empty takes *default_time* for every row.
        time_format: strptime format; ISO 8601 when empty.
        default_time: aware.
    """

    id_column: str
    default_time: dt.datetime
    time_column: str = ""
    time_format: str = ""


def read_csv(lines: Iterable[str], columns: Columns) -> Iterator[Row | Unreadable]:
    """Yield a row per line of a CSV file with a header."""
    for number, record in enumerate(csv.DictReader(lines), start=1):
        if None in record:
            yield Unreadable(number, "too_many_cells", f"row {number} has more cells than the header")
        else:
            yield row_of(number, {key: value for key, value in record.items() if value is not None}, columns)


def read_jsonl(lines: Iterable[str], columns: Columns) -> Iterator[Row | Unreadable]:
    """Yield a row per line that holds a JSON object; empty lines are passed over."""
    for number, line in enumerate((line for line in lines if line.strip()), start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            yield Unreadable(number, "bad_json", f"line {number}: {error}")
            continue
        if isinstance(record, dict):
            yield row_of(number, record, columns)
        else:
            yield Unreadable(number, "bad_json", f"line {number} is no JSON object")


def row_of(number: int, record: Mapping[str, Any], columns: Columns) -> Row | Unreadable:
    """Return a record as the row of an event, or why it cannot be one."""
    external_id = _text(record, columns.id_column)
    if not external_id:
        return Unreadable(number, "missing_id", f"row {number} has no {columns.id_column}")
    if len(external_id) > EXTERNAL_ID_CHARS_MAX or not external_id.isprintable():
        return Unreadable(
            number, "bad_id", f"row {number}: {columns.id_column} {external_id[:64]!r} is no id"
        )
    moment: dt.datetime | None = columns.default_time
    if columns.time_column:
        stated = _text(record, columns.time_column)
        moment = read_moment(stated, columns.time_format)
        if moment is None:
            return Unreadable(
                number, "bad_time", f"row {number}: {columns.time_column} {stated[:64]!r} is no moment"
            )
    assert moment is not None  # noqa: S101 - seen to above
    return Row(number, external_id, moment, record)


def _text(record: Mapping[str, Any], path: str) -> str:
    if path in record:
        return str(record[path] if record[path] is not None else "").strip()
    current: Any = record
    for part in path.split("."):
        if not isinstance(current, Mapping) or part not in current:
            return ""
        current = current[part]
    return str(current if current is not None else "").strip()
