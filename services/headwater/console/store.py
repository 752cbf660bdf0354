"""The writing half of the span store: a size-capped ring of traces in SQLite.

Owns the file and its schema. What `write` returned from survives a killed process (WAL; a crash of the machine
may cost the last moments, which traces can bear). Blocking and single-threaded: the receiver runs it in one
worker thread. Must not serve readers: they open their own connection (`reading`).
"""

import sqlite3
import threading
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from headwater.console.otlp import ResourceRows
from headwater.kernel.pg.queries import load

FILE_NAME: Final = "spans.sqlite"
TRACES_DROPPED: Final = "traces_dropped"
SPANS_DROPPED: Final = "spans_dropped"

_DROP_BATCH: Final = 64
"""Traces dropped between two looks at the size."""
_CACHE_KIB: Final = 2_048
_RESOURCES_KNOWN_MAX: Final = 1_024
"""Resource ids remembered; one a process that exports."""

_SQL: Final = {name: query.text for name, query in load("headwater.console", "write.sql").items()}


class SpanStore:
    """The one writer of a store's file; a context manager from open to closed."""

    def __init__(self, data_dir: Path, *, bytes_max: int) -> None:
        self._path = data_dir / FILE_NAME
        self._bytes_max = bytes_max
        self._resource_ids: dict[bytes, int] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._db.executescript(resources.files("headwater.console").joinpath("sql/schema.sql").read_text())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._db.close()

    @property
    def path(self) -> Path:
        """The file, for readers."""
        return self._path

    def write(self, groups: Iterable[ResourceRows]) -> int:
        """Store an export, all of it or nothing, and let the ring drop what is too much.

        Returns:
            How many spans had no proper ids and were left out.
        """
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                rejected = sum(map(self._insert, groups))
                self._drop_oldest()
            except BaseException:
                self._db.execute("ROLLBACK")
                self._resource_ids.clear()
                raise
            self._db.execute("COMMIT")
        return rejected

    def used_bytes(self) -> int:
        """Return the bytes of the file that hold something."""
        return used_bytes(self._db)

    def _insert(self, group: ResourceRows) -> int:
        resource_id = self._resource_id(group)
        self._db.executemany(_SQL["insert_trace"], {row[0]: (row[0],) for row in group.spans}.values())
        self._db.executemany(
            _SQL["insert_span"],
            ((trace, span, start, resource_id, key, body) for trace, span, start, key, body in group.spans),
        )
        if group.links:
            self._db.executemany(_SQL["insert_link"], group.links)
        return group.rejected

    def _resource_id(self, group: ResourceRows) -> int:
        known = self._resource_ids.get(group.resource)
        if known is not None:
            return known
        self._db.execute(_SQL["insert_resource"], (group.service, group.resource))
        found: int = self._db.execute(_SQL["select_resource_id"], (group.resource,)).fetchone()[0]
        if len(self._resource_ids) >= _RESOURCES_KNOWN_MAX:
            self._resource_ids.clear()
        self._resource_ids[group.resource] = found
        return found

    def _drop_oldest(self) -> None:
        while self.used_bytes() > self._bytes_max:
            oldest = self._db.execute(_SQL["select_oldest_traces"], (_DROP_BATCH,)).fetchall()
            if not oldest:
                return
            spans = self._db.executemany(_SQL["delete_spans"], oldest).rowcount
            self._db.executemany(_SQL["delete_links"], oldest)
            self._db.executemany(_SQL["delete_trace"], oldest)
            self._db.execute(_SQL["add_to_counter"], (TRACES_DROPPED, len(oldest)))
            self._db.execute(_SQL["add_to_counter"], (SPANS_DROPPED, spans))


def used_bytes(db: sqlite3.Connection) -> int:
    """Return the bytes of a store's file that hold something: its pages less its free ones."""
    pages, free, page_bytes = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * page_bytes
