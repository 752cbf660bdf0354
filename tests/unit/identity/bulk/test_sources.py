"""Files become numbered rows, whatever their kind; what cannot be a source is refused with its reason."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from tests.unit.identity.bulk.scans import write_csv

from headwater.identity.bulk.settings import Limits
from headwater.identity.bulk.sources import FileSource, NumberedRows, field_of
from headwater.kernel.errors import InvalidInput

ROWS = [
    {"id": "b", "First Name": "Kaya", "company": "Brindle", "cluster": "1"},
    {"id": "a", "First Name": "Mirela", "company": "Acorn", "cluster": "2"},
    {"id": "c", "First Name": "", "company": "Acorn", "cluster": "2"},
]


def copied(source: FileSource, tmp_path: Path) -> NumberedRows:
    with duckdb.connect() as connection:
        return source.copy(connection, tmp_path / "numbered.parquet", Limits())


def test_csv_jsonl_and_parquet_give_the_same_rows(tmp_path: Path) -> None:
    """Values are text, headings are fields, and rows come in the order of their values."""
    table = write_csv(tmp_path / "rows.csv", ROWS)
    lines = tmp_path / "rows.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    parquet = tmp_path / "rows.parquet"
    duckdb.read_csv(str(table), all_varchar=True).write_parquet(str(parquet))
    for path in (table, lines, parquet):
        rows = copied(FileSource(path, left_out=frozenset({"cluster"})), tmp_path)
        assert rows.fields == ("first_name", "company")
        read = [(number, name, [value or "" for value in values]) for number, name, values in rows.read(0, 9)]
        assert read[2] == (2, "b", ["Kaya", "Brindle"])
        assert {name for _, name, _ in read[:2]} == {"a", "c"}
        assert [number for number, _, _ in rows.read(1, 2)] == [1]


def test_a_heading_reads_as_its_field() -> None:
    """Case and separators do not count."""
    assert [field_of(name) for name in ("First Name", "E-Mail", " zip-code ", "city")] == [
        "first_name",
        "email",
        "zip_code",
        "city",
    ]


@pytest.mark.parametrize(
    ("rows", "given", "reason"),
    [
        ([{"name": "Kaya"}], {}, "MALFORMED"),
        ([{"id": "", "name": "Kaya"}], {}, "MISSING_ID"),
        ([{"id": "a", "name": "Kaya"}, {"id": "a", "name": "Mirela"}], {}, "REPEATED_ID"),
        ([{"id": "a", "name": "Kaya"}], {"left_out": frozenset({"nope"})}, "MALFORMED"),
        ([{"id": "a", "e-mail": "x", "email": "y"}], {}, "MALFORMED"),
        ([{"id": "a", "name": "Kaya"}], {"id_column": "key"}, "MALFORMED"),
    ],
)
def test_a_file_that_cannot_be_a_source_is_refused(
    rows: list[dict[str, str]], given: dict[str, frozenset[str]], reason: str, tmp_path: Path
) -> None:
    """No id column, no id, an id twice, a column that is not there, two columns for one field."""
    path = write_csv(tmp_path / "rows.csv", rows)
    with pytest.raises(InvalidInput) as refused:
        copied(FileSource(path, **given), tmp_path)  # type: ignore[arg-type]
    assert refused.value.reason == reason


def test_an_unknown_kind_of_file_is_refused(tmp_path: Path) -> None:
    """The ending says what a file is."""
    path = tmp_path / "rows.xlsx"
    path.write_text("id\n", encoding="utf-8")
    with pytest.raises(InvalidInput) as refused:
        copied(FileSource(path), tmp_path)
    assert refused.value.reason == "UNKNOWN_KIND"
