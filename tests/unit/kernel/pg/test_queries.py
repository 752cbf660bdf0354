"""The loader of named SQL."""

from __future__ import annotations

import pytest

from headwater.kernel.pg.errors import QueryFileFaulty
from headwater.kernel.pg.queries import Query, load, parse

SOURCE = """-- Events, as they are stored.

-- name: count_events
-- How many events there are. No parameters.
SELECT count(*) -- all of them
FROM event;

-- name: find_event
-- One event by its key.
-- $1 uuid: the key.
SELECT *
FROM event
WHERE key = $1
"""


def test_each_block_becomes_a_query_with_its_description() -> None:
    """Name, statement and describing comment of each block come out apart."""
    queries = parse(SOURCE, "event.sql")
    assert list(queries.values()) == [
        Query(
            "count_events",
            "SELECT count(*) -- all of them\nFROM event",
            "How many events there are. No parameters.",
        ),
        Query(
            "find_event",
            "SELECT *\nFROM event\nWHERE key = $1",
            "One event by its key.\n$1 uuid: the key.",
        ),
    ]


def test_queries_cannot_be_changed() -> None:
    """The mapping is read-only."""
    with pytest.raises(TypeError):
        parse(SOURCE, "event.sql")["other"] = Query("other", "", "")  # type: ignore[index]


@pytest.mark.parametrize(
    ("source", "line", "complaint"),
    [
        ("-- name: a\n-- x\nSELECT 1\n-- name: a\n-- x\nSELECT 2", 4, "twice"),
        ("SELECT 1\n-- name: a\n-- x\nSELECT 1", 1, "without a `-- name:`"),
        ("SELECT 1", 1, "without a `-- name:`"),
        ("-- name:\n-- x\nSELECT 1", 1, "is no name"),
        ("-- name: Bad-Name\n-- x\nSELECT 1", 1, "is no name"),
        ("-- name: a\n-- only words", 1, "no statement"),
        ("-- name: a\nSELECT 1", 1, "no describing comment"),
        ("-- words", 1, "no `-- name:` block"),
        ("", 1, "no `-- name:` block"),
    ],
)
def test_fault_is_named_with_file_and_line(source: str, line: int, complaint: str) -> None:
    """A file that breaks the format is refused with the place and the reason."""
    with pytest.raises(QueryFileFaulty, match=complaint) as caught:
        parse(source, "event.sql")
    assert (caught.value.file_name, caught.value.line) == ("event.sql", line)


def test_load_reads_a_file_of_a_package() -> None:
    """Files ship inside packages."""
    assert "read_durability_settings" in load("headwater.kernel.pg", "durability.sql")


def test_load_fails_when_the_file_is_missing() -> None:
    """A missing file is an error, never an empty mapping."""
    with pytest.raises(FileNotFoundError):
        load("headwater.kernel.pg", "nowhere.sql")
