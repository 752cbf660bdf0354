"""Maintenance of sync's tables in Postgres."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Final

from headwater.kernel.pg import queries
from headwater.kernel.pg.pool import as_owner
from headwater.sync.store.faults import translated

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

_SQL = queries.load("headwater.sync", "maintenance.sql")

REBUILD_S_MAX: Final = 300.0
"""Bound of one step of a rebuild: it waits for every transaction that is older; cut off, it is begun anew later."""
VACUUM_S_MAX: Final = 300.0
"""Bound of vacuuming one table; cut off, it has freed what it has freed."""

_log = logging.getLogger(__name__)


class PostgresUpkeep:
    """Port `Upkeep` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def make_attempt_days(self, first: dt.date, days: int) -> int:
        """Make room for the attempts of *days* days from *first* on."""
        last = first + dt.timedelta(days=days - 1)
        async with translated():
            made: int = await self._pool.fetchval(_SQL["open_attempt_days"].text, first, last)
        return made

    async def drop_attempt_days(self, before: dt.date) -> int:
        """Drop the attempts of days before *before*."""
        async with translated():
            dropped: int = await self._pool.fetchval(_SQL["drop_attempt_days"].text, before)
        return dropped

    async def prune_projections(self, before: dt.datetime, limit: int) -> int:
        """Delete up to *limit* projections older than *before*."""
        async with translated():
            told = await self._pool.execute(_SQL["prune_projections"].text, before, limit)
        return int(told.rpartition(" ")[2])

    async def prune_error_groups(self, before: dt.datetime, limit: int) -> int:
        """Delete up to *limit* groups of errors without deliveries that failed last before *before*."""
        async with translated():
            told = await self._pool.execute(_SQL["prune_error_groups"].text, before, limit)
        return int(told.rpartition(" ")[2])

    async def queue_size(self) -> tuple[int, int]:
        """Return the rows of the queue, as last estimated, and the bytes of its indexes."""
        async with translated():
            (row,) = await self._pool.fetch(_SQL["queue_size"].text)
        return row["deliveries"], row["index_bytes"]

    async def rebuild_queue(self) -> None:
        """Rebuild the queue's indexes beside the running work."""
        for step in (
            "drop_half_built_line",
            "drop_half_built_pkey",
            "rebuild_due_in_line",
            "rebuild_due_pkey",
        ):
            await self._as_owner(step, REBUILD_S_MAX)

    async def dead_rows(self) -> dict[str, tuple[int, int]]:
        """Return dead and live rows by table."""
        async with translated():
            rows = await self._pool.fetch(_SQL["dead_rows"].text)
        return {row["table_name"]: (row["dead"], row["live"]) for row in rows}

    async def vacuum(self, table: str) -> None:
        """Vacuum one table."""
        await self._as_owner(f"vacuum_{table}", VACUUM_S_MAX)

    async def _as_owner(self, step: str, timeout_s: float) -> None:
        async with translated(), as_owner(self._pool) as connection:
            if connection is None:
                _log.warning(
                    "%s is left to the server: sync's login may not act as the owner of its tables", step
                )
                return
            await connection.execute(_SQL[step].text, timeout=timeout_s)
