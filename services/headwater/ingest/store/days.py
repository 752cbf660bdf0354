"""The days of the log on Postgres: opening, sealing, reading for the archive, dropping."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import asyncpg

from headwater.ingest.domain.days import Blocker, Day, Due, Keeping, Kept, State
from headwater.ingest.domain.event import RecordedEvent
from headwater.ingest.ports import DayKept, LogUnavailable
from headwater.ingest.store.faults import translated
from headwater.ingest.store.rows import recorded_event
from headwater.kernel.pg import queries

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

DAY_SQL: Final = queries.load("headwater.ingest", "day.sql")
PAGE_ROWS: Final = 500


class PostgresDays:
    """Keeps `ports.Days`."""

    def __init__(self, pool: Pool, *, acquire_timeout_s: float) -> None:
        self._pool = pool
        self._acquire_timeout_s = acquire_timeout_s

    async def roll(self, day: dt.date) -> bool:
        """Open a day; see the port."""
        async with self._connection() as connection:
            return bool(await connection.fetchval(DAY_SQL["roll"].text, day))

    async def index_day(self) -> int:
        """Make the newest day's rows findable; see the port."""
        async with self._connection() as connection:
            return int(await connection.fetchval(DAY_SQL["index_day"].text))

    async def seal_some(self, rows: int) -> str:
        """Move keys of a day that is over; see the port."""
        async with self._connection() as connection:
            return str(await connection.fetchval(DAY_SQL["seal_some"].text, rows))

    async def list_days(self) -> list[Day]:
        """Return every day, oldest first."""
        async with self._connection() as connection:
            rows = await connection.fetch(DAY_SQL["list_days"].text)
        return [_day(row) for row in rows]

    async def blockers(self, day: dt.date, readers: Sequence[str], *, archived: bool) -> list[Blocker]:
        """Return why a day may not be dropped."""
        async with self._connection() as connection:
            rows = await connection.fetch(DAY_SQL["drop_blockers"].text, day, list(readers), archived)
        return [Blocker(row["reason"], row["detail"]) for row in rows]

    @asynccontextmanager
    async def reading(self, day: dt.date) -> AsyncIterator[AsyncIterator[list[RecordedEvent]]]:
        """Read a day's facts page by page, in a transaction that writes nothing and so holds no reader back."""
        async with self._connection() as connection, connection.transaction(readonly=True):
            yield _pages(connection, "read_day", day)

    async def note_archive(self, day: dt.date, path: str, sha256: str) -> None:
        """Note where a day's archive is."""
        async with self._connection() as connection:
            await connection.execute(DAY_SQL["note_archive"].text, day, path, sha256)

    async def drop(self, day: dt.date, readers: Sequence[str], *, archived: bool) -> None:
        """Drop a day's facts; see the port."""
        async with self._connection() as connection:
            try:
                await connection.execute(DAY_SQL["drop_day"].text, day, list(readers), archived)
            except asyncpg.ObjectNotInPrerequisiteStateError as error:
                raise DayKept(str(error)) from error

    async def due(self, keepings: Sequence[Keeping], today: dt.date) -> list[Due]:
        """Return what is older than its tenant's retention."""
        tenants = [item.tenant_id for item in keepings]
        limits = [item.limit(today) for item in keepings]
        async with self._connection() as connection:
            rows = await connection.fetch(DAY_SQL["due_days"].text, tenants, limits)
        return [
            Due(
                row["tenant_id"],
                row["record_day"],
                row["row_count"],
                row["held_count"],
                row["is_ready"],
                row["is_archived"],
            )
            for row in rows
        ]

    async def expire_some(
        self, day: dt.date, tenants: Sequence[str], readers: Sequence[str], pages: int
    ) -> str:
        """Delete what tenants have in a stretch of a day; see the port."""
        async with self._connection() as connection:
            try:
                return str(
                    await connection.fetchval(
                        DAY_SQL["expire_some"].text, day, list(tenants), list(readers), pages
                    )
                )
            except asyncpg.ObjectNotInPrerequisiteStateError as error:
                raise DayKept(str(error)) from error

    async def tenants_of(self, day: dt.date, tenants: Sequence[str]) -> list[str]:
        """Return those of *tenants* that have events in a sealed day."""
        async with self._connection() as connection:
            rows = await connection.fetch(DAY_SQL["tenants_of_day"].text, day, list(tenants))
        return [row["tenant_id"] for row in rows]

    @asynccontextmanager
    async def reading_tenant(
        self, day: dt.date, tenant_id: str
    ) -> AsyncIterator[AsyncIterator[list[RecordedEvent]]]:
        """Read what a tenant has in a day, as `reading`."""
        async with self._connection() as connection, connection.transaction(readonly=True):
            yield _pages(connection, "read_tenant_day", day, tenant_id)

    async def note_tenant_archive(self, day: dt.date, tenant_id: str, path: str, sha256: str) -> None:
        """Note where the archive of a tenant's events of a day is."""
        async with self._connection() as connection:
            await connection.execute(DAY_SQL["note_tenant_archive"].text, day, tenant_id, path, sha256)

    async def note_expiries(self, count: int) -> None:
        """Tell the audit what expired, once; see the port."""
        async with self._connection() as connection:
            try:
                await connection.execute(DAY_SQL["note_expiries"].text, count)
            except (asyncpg.UndefinedFunctionError, asyncpg.InvalidSchemaNameError) as error:
                raise LogUnavailable(f"the audit cannot be told what expired: {error}") from error

    async def kept(self, tenant_id: str, limit: dt.date | None, readers: Sequence[str]) -> Kept:
        """Return what the log holds of a tenant, and what of it is before *limit*."""
        async with self._connection() as connection:
            row = await connection.fetchrow(DAY_SQL["kept_of"].text, tenant_id, limit, list(readers))
        assert row is not None  # noqa: S101 - an aggregate
        return Kept(
            row["oldest_day"],
            row["row_count"],
            row["due_days"],
            row["due_count"],
            row["held_count"],
            row["expired_count"],
            row["expire_time"],
            tuple(row["blockers"]),
        )

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with translated():
            async with self._pool.acquire(timeout=self._acquire_timeout_s) as connection:
                yield connection


async def _pages(
    connection: Connection, query: str, *arguments: object
) -> AsyncIterator[list[RecordedEvent]]:
    cursor = await connection.cursor(DAY_SQL[query].text, *arguments)
    while rows := await cursor.fetch(PAGE_ROWS):
        yield [recorded_event(row) for row in rows]


def _day(row: asyncpg.Record) -> Day:
    sealed = row["seal_time"] is not None
    return Day(
        day=row["record_day"],
        state=_state(row),
        rows=row["row_count"] - row["expired"] if sealed else max(0, row["estimated_rows"]),
        bytes=row["bytes"],
        archive_path=row["archive_path"] or "",
        archive_sha256=row["archive_sha256"] or "",
        expired=row["expired"],
    )


def _state(row: asyncpg.Record) -> State:
    if row["drop_time"] is not None:
        return "dropped"
    if row["seal_time"] is not None:
        return "sealed"
    return "open" if row["newest"] else "over"
