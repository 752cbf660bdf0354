"""Which fields of an account are in use, in Postgres."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from headwater.kernel.pg import queries
from headwater.sync.domain.field_review import Tally, Use
from headwater.sync.store.faults import translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headwater.kernel.pg.pool import Pool

_SQL: Final = queries.load("headwater.sync", "field_use.sql")
PAGE_ROWS: Final = 2_000
PAGES_MAX: Final = 1_000
"""Pages of one walk: two million records; beyond that nothing is called unused."""
_FIRST: Final = uuid.UUID(int=0)


class PostgresFieldUse:
    """Port `FieldUse` on Postgres."""

    def __init__(self, pool: Pool, page_rows: int = PAGE_ROWS, pages_max: int = PAGES_MAX) -> None:
        self._pool = pool
        self._page_rows = page_rows
        self._pages_max = pages_max

    async def tally(self, tenant_id: str, connector: str, source: str, objects: Sequence[str]) -> Tally:
        """Return the use of the fields of an account: of what its system said, and of what it was given."""
        tally = Tally()
        for object_name in objects:
            await self._read(tally, tenant_id, object_name, source)
        await self._written(tally, tenant_id, connector)
        return tally

    async def _read(self, tally: Tally, tenant_id: str, object_name: str, source: str) -> None:
        after = ""
        for _ in range(self._pages_max):
            async with translated():
                rows = await self._pool.fetch(
                    _SQL["read_use"].text, tenant_id, object_name, source, after, self._page_rows
                )
            for row in rows:
                if row["field"]:
                    key = (object_name, row["field"])
                    tally.read[key] = tally.read.get(key, Use()).plus(row["rows"], row["micros"])
            end = next(row for row in rows if not row["field"])
            tally.records += end["rows"]
            if end["rows"] < self._page_rows:
                return
            after = end["last"]
        tally.complete = False

    async def _written(self, tally: Tally, tenant_id: str, connector: str) -> None:
        after = _FIRST
        for _ in range(self._pages_max):
            async with translated():
                rows = await self._pool.fetch(
                    _SQL["written_use"].text, tenant_id, connector, after, self._page_rows
                )
            for row in rows:
                if row["kind"] != "page":
                    uses = tally.held if row["kind"] == "held" else tally.values
                    key = (row["object"], row["field"])
                    uses[key] = uses.get(key, Use()).plus(row["rows"], row["micros"])
            end = next(row for row in rows if row["kind"] == "page")
            tally.records += end["rows"]
            if end["rows"] < self._page_rows:
                return
            after = uuid.UUID(end["last"])
        tally.complete = False
