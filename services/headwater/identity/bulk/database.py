"""The scan's own DuckDB: one file in the scratch directory, bounded in memory and threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import duckdb

from headwater.identity.bulk.settings import Limits
from headwater.kernel.pg.queries import load

_PACKAGE: Final = "headwater.identity.bulk"
STAGES: Final = load(_PACKAGE, "stages.sql")
BLOCKING: Final = load(_PACKAGE, "blocking.sql")
MACROS: Final = load(_PACKAGE, "macros.sql")
BOUNDS: Final = load(_PACKAGE, "bounds.sql")
REPORT: Final = load(_PACKAGE, "report.sql")

Connection = duckdb.DuckDBPyConnection


def open_database(scratch: Path, limits: Limits) -> Connection:
    """Open the database of a scratch directory, or make it."""
    return duckdb.connect(
        str(scratch / "scan.duckdb"),
        config={
            "threads": limits.cores,
            "memory_limit": f"{limits.database_mb}MB",
            "temp_directory": str(scratch / "spill"),
            "preserve_insertion_order": "false",
        },
    )


def read_range(path: Path, start: int, stop: int) -> list[tuple[Any, ...]]:
    """Return the rows of a numbered file from *start* to before *stop*, in order."""
    with duckdb.connect(config={"threads": 1}) as connection:
        found = connection.execute(
            STAGES["rows_of_range"].text, {"path": str(path), "start": start, "stop": stop}
        )
        return found.fetchall()
