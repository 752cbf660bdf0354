"""Files as sources of records: CSV, JSON lines and Parquet, copied once into numbered rows.

Rows are kept in the order of their values, so that equal ones stand together and are worked out once; columns
that tell of a row, not of what it is about, are left behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb

from headwater.identity.bulk.database import STAGES, Connection, read_range
from headwater.identity.bulk.settings import Limits
from headwater.identity.domain.scoring.taking_apart import says_who
from headwater.kernel.errors import InvalidInput

KINDS: Final = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
"""Kinds of file by ending."""
ID_COLUMNS: Final = ("id", "rec_id", "record_id", "external_id")
"""Columns that hold a record's id, the one to prefer first, where none is named."""
_USUAL: Final = {"e_mail": "email", "zipcode": "zip"}
_FIRST: Final = ("company", "organization", "website", "domain", "last_name", "surname")
"""Fields by which rows are ordered before all others: values that many rows have."""
_NOT_NAME: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file to scan.

    Args:
        id_column: column with the record's id; empty takes the first of `ID_COLUMNS`.
        left_out: columns that are not compared.
        names: field by column, where the column is called otherwise.
    """

    path: Path
    id_column: str = ""
    left_out: frozenset[str] = frozenset()
    names: Mapping[str, str] = field(default_factory=dict)

    def copy(self, connection: Connection, into: Path, limits: Limits) -> NumberedRows:
        """Copy the file into numbered rows at *into*.

        Raises:
            InvalidInput: the file cannot be read, has no id column, or ids are missing or repeated.
        """
        try:
            found = self._open(connection)
            columns = self._columns(found.columns)
            chosen = [duckdb.ColumnExpression(column).cast("VARCHAR").alias(name) for column, name in columns]
            values = [name for _, name in columns[1:]]
            order = sorted(values, key=lambda name: (name not in _FIRST, values.index(name)))
            rows = found.select(*chosen)
            if order:
                rows = rows.sort(*map(duckdb.ColumnExpression, order))
            rows.create_view("source", replace=True)
            numbered = connection.sql(STAGES["numbered"].text)
            numbered.write_parquet(str(into), row_group_size=max(2_048, limits.chunk_records))
        except duckdb.Error as error:
            raise InvalidInput(f"{self.path} cannot be read: {_sentence(error)}") from error
        connection.execute(STAGES["forget_source"].text)
        _check_ids(connection, into)
        count = connection.execute(STAGES["count_rows"].text, {"path": str(into)}).fetchall()[0][0]
        return NumberedRows(into, tuple(values), int(count))

    def _open(self, connection: Connection) -> duckdb.DuckDBPyRelation:
        kind = KINDS.get(self.path.suffix.lower())
        if kind == "csv":
            return connection.read_csv(str(self.path), header=True, all_varchar=True)
        if kind == "jsonl":
            return connection.read_json(str(self.path), format="newline_delimited")
        if kind == "parquet":
            return connection.read_parquet(str(self.path))
        raise InvalidInput(f"{self.path.name} is none of {', '.join(KINDS)}", reason="UNKNOWN_KIND")

    def _columns(self, columns: Sequence[str]) -> list[tuple[str, str]]:
        """Return the columns to read, each with its field, the id first."""
        identifier = self.id_column or next((name for name in ID_COLUMNS if name in columns), "")
        if identifier not in columns:
            raise InvalidInput(f"{self.path.name} has no column {identifier or 'id'!r}; it has {columns}")
        unknown = {*self.left_out, *self.names} - {*columns}
        if unknown:
            raise InvalidInput(f"{self.path.name} has no column {min(unknown)!r}; it has {columns}")
        fields = {
            column: self.names.get(column) or field_of(column)
            for column in columns
            if column != identifier and column not in self.left_out
        }
        compared = [(column, name) for column, name in _each_once(fields.items()) if says_who(name)]
        return [(identifier, "id"), *compared]


@dataclass(frozen=True, slots=True)
class NumberedRows:
    """A copy of a source: implements `Records`, and reads itself in any process."""

    path: Path
    fields: tuple[str, ...]
    count: int

    def read(self, start: int, stop: int) -> Iterator[tuple[int, str, Sequence[str | None]]]:
        """Yield number, id and values of the rows in a range."""
        for number, name, *values in read_range(self.path, start, stop):
            yield number, name, values


def field_of(column: str) -> str:
    """Return the field that a column's heading means: `First Name` reads `first_name`."""
    name = _NOT_NAME.sub("_", column.strip().lower()).strip("_")
    return _USUAL.get(name, name)


def _each_once(columns: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Refuse two columns for one field, and a field that would hide the id or the number."""
    listed = list(columns)
    taken: dict[str, str] = {"id": "the id", "n": "the number"}
    for column, name in listed:
        if name in taken:
            raise InvalidInput(f"{column!r} and {taken[name]!r} are both read as {name!r}; map or ignore one")
        taken[name] = column
    return listed


def _check_ids(connection: Connection, rows: Path) -> None:
    path = {"path": str(rows)}
    missing = connection.execute(STAGES["rows_without_id"].text, path).fetchall()[0][0]
    if missing:
        raise InvalidInput(f"{missing} rows have no id", reason="MISSING_ID")
    repeated = [one for (one,) in connection.execute(STAGES["repeated_ids"].text, path).fetchall()]
    if repeated:
        raise InvalidInput(f"several rows have one id: {', '.join(repeated)}", reason="REPEATED_ID")


def _sentence(error: BaseException) -> str:
    return str(error).partition("\n")[0]
