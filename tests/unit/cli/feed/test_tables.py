"""CSV and JSON lines."""

from __future__ import annotations

import datetime as dt

from headwater.cli.feed.rows import Row, Unreadable
from headwater.cli.feed.tables import Columns, read_csv, read_jsonl

_DAY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def test_a_row_is_worded_as_the_source_words_it() -> None:
    """Cells stay texts, empty ones too; id and time come from their columns."""
    columns = Columns("id", _DAY, "at", "%d-%m-%y")
    assert list(read_csv(["id,name,at\n", " 7 ,,20-10-16\n"], columns)) == [
        Row(1, "7", dt.datetime(2016, 10, 20, tzinfo=dt.UTC), {"id": " 7 ", "name": "", "at": "20-10-16"})
    ]


def test_rows_that_cannot_be_events_are_named() -> None:
    """A missing id, a bad time, too many cells: each with its number and reason."""
    found = list(
        read_csv(["id,at\n", ",2026-01-01\n", "1,soon\n", "2,2026-01-01,x\n"], Columns("id", _DAY, "at"))
    )
    assert [(item.number, item.reason) for item in found if isinstance(item, Unreadable)] == [
        (1, "missing_id"),
        (2, "bad_time"),
        (3, "too_many_cells"),
    ]


def test_json_lines_reach_into_objects() -> None:
    """Dots lead to nested ids; a line that is no object is named."""
    found = list(read_jsonl(['{"meta": {"id": 3}}\n', "\n", "[1]\n", "{\n"], Columns("meta.id", _DAY)))
    assert found[0] == Row(1, "3", _DAY, {"meta": {"id": 3}})
    assert [item.reason for item in found[1:] if isinstance(item, Unreadable)] == ["bad_json", "bad_json"]
