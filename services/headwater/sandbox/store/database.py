"""Owns the SQLite connection, its transactions and the named statements. Must not know what any table means.

Durability: WAL with `synchronous=OFF`. A commit is in the operating system's page cache before the call is
answered, so it survives the death of the process at any moment (SIGKILL included); only a power cut can lose the file,
which a sandbox may. Anything stricter would add an fsync to calls and guard against nothing that tests can do.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Row = tuple[Any, ...]

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COMMIT = "COMMIT"
BUSY_TIMEOUT_S = 5.0
"""How long to wait for a dying predecessor to let go of the file."""
CACHE_KIB_MAX = 65_536
"""Pages kept in memory: an account of some ten thousand records."""
WAL_PAGES_MAX = 8_000
"""Log pages (4 KiB) between two checkpoints: each copies pages, which a caller sees as a slow answer."""


def _text(name: str) -> str:
    return resources.files("headwater.sandbox.store").joinpath(name).read_text(encoding="utf-8")


@cache
def statements() -> Mapping[str, str]:
    """The statements of `queries.sql` by name."""
    parts = _NAME.split(_text("queries.sql"))
    return {name: body.strip().rstrip(";") for name, body in zip(parts[1::2], parts[2::2], strict=True)}


class Database:
    """One connection, one writer; every method runs to its end without suspending."""

    def __init__(self, path: Path | None) -> None:
        """Open or create the file; None keeps everything in memory (unit tests)."""
        target = ":memory:" if path is None else str(path)
        self._connection = sqlite3.connect(target, isolation_level=None, timeout=BUSY_TIMEOUT_S)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute("PRAGMA temp_store = MEMORY")
        self._connection.execute(f"PRAGMA cache_size = -{CACHE_KIB_MAX}")
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES_MAX}")
        self._make_way()
        self._connection.executescript(_text("schema.sql"))
        self._take_over()
        self._statements = statements()
        self._put_off: list[tuple[str, tuple[object, ...]]] = []

    def close(self) -> None:
        """Fold the write-ahead log into the file and let go of it."""
        self._connection.close()

    def _make_way(self) -> None:
        """Put aside what a release before kept in another shape."""
        kept = self._connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'account'").fetchone()
        if kept is not None and "vendor IN" in kept[0]:  # knew two vendors and an enricher only
            self._connection.execute("ALTER TABLE account RENAME TO account_before")

    def _take_over(self) -> None:
        """Fill the present shape from what was put aside."""
        tables = {row[0] for row in self._connection.execute("SELECT name FROM sqlite_schema")}
        if "account_before" in tables:
            self._connection.execute("INSERT INTO account SELECT * FROM account_before")
            self._connection.execute("DROP TABLE account_before")
        if not self._connection.execute(
            "SELECT 1 FROM pragma_table_info('call') WHERE name = 'cost'"
        ).fetchone():
            self._connection.execute("ALTER TABLE call ADD COLUMN cost INTEGER NOT NULL DEFAULT 1")

    def all(self, statement: str, *parameters: object) -> list[Row]:
        """Every row of a named statement."""
        return self._connection.execute(self._statements[statement], parameters).fetchall()

    def each(self, statement: str, *parameters: object) -> Iterator[Row]:
        """The rows of a named statement one by one; those that nobody takes are never read."""
        cursor = self._connection.execute(self._statements[statement], parameters)
        try:
            yield from cursor
        finally:
            cursor.close()

    def one(self, statement: str, *parameters: object) -> Row | None:
        """The first row of a named statement, or None."""
        row: Row | None = self._connection.execute(self._statements[statement], parameters).fetchone()
        return row

    def run(self, statement: str, *parameters: object) -> int:
        """Run a named statement and say how many rows it touched."""
        return self._connection.execute(self._statements[statement], parameters).rowcount

    def put_off(self, statement: str, *parameters: object) -> None:
        """Run a named statement at the end of the transaction, many of one name at once; undone with what it is part of.

        For what nobody reads before the commit. Outside of a transaction it runs now.
        """
        if self._connection.in_transaction:
            self._put_off.append((statement, parameters))
        else:
            self.run(statement, *parameters)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything inside, or nothing; inside another transaction it is a savepoint."""
        begin, commit, undo = self._words()
        waiting = len(self._put_off)
        self._connection.execute(begin)
        try:
            yield
            if commit == _COMMIT:
                self._run_put_off()
        except BaseException:
            del self._put_off[waiting:]
            for statement in undo:
                self._connection.execute(statement)
            raise
        self._connection.execute(commit)

    def _run_put_off(self) -> None:
        by_name: dict[str, list[tuple[object, ...]]] = {}
        for name, parameters in self._put_off:
            by_name.setdefault(name, []).append(parameters)
        for name, rows in by_name.items():
            self._connection.executemany(self._statements[name], rows)
        self._put_off.clear()

    def _words(self) -> tuple[str, str, tuple[str, ...]]:
        if self._connection.in_transaction:
            return (
                "SAVEPOINT inner_step",
                "RELEASE inner_step",
                ("ROLLBACK TO inner_step", "RELEASE inner_step"),
            )
        return "BEGIN IMMEDIATE", _COMMIT, ("ROLLBACK",)
