"""How far the CRMs are read, and the calendar of what ends, in Postgres."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from headwater.kernel.pg import queries
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.polling import Refusal, is_held_back
from headwater.sync.scheduling.ports import CursorStep, Warned
from headwater.sync.store.faults import translated
from headwater.sync.store.leases import hold_fences
from headwater.sync.store.schedules import warned

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL = queries.load("headwater.sync", "polling.sql")


@asynccontextmanager
async def _held(pool: Pool, lease: Lease) -> AsyncIterator[Connection]:
    async with translated(), pool.acquire() as connection, connection.transaction():
        await hold_fences(connection, [lease])
        yield connection


class PostgresCursors:
    """Port `Cursors` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def stop_of(self, tenant_id: str, connector: str, now: dt.datetime) -> str:
        """Return why an account may not be called now; empty when it may."""
        async with translated():
            row = await self._pool.fetchrow(_SQL["read_account_stop"].text, tenant_id, connector)
        if row is None:
            return ""
        if row["paused"]:
            return "the account is paused"
        return "the breaker is open" if is_held_back(row["breaker"], now) else ""

    async def read(self, tenant_id: str, connector: str, crm_object: str) -> str:
        """Return the cursor of an object; empty at first."""
        async with translated():
            cursor: str | None = await self._pool.fetchval(
                _SQL["read_poll_cursor"].text, tenant_id, connector, crm_object
            )
        return cursor or ""

    async def move(
        self, lease: Lease, tenant_id: str, connector: str, crm_object: str, step: CursorStep
    ) -> bool:
        """Move a cursor and note refusals, in one transaction; False when it was moved by another."""
        place = (tenant_id, connector, crm_object)
        async with _held(self._pool, lease) as connection:
            moved = await connection.fetchrow(
                _SQL["move_poll_cursor"].text, *place, step.before, step.after, len(step.recorded_ids)
            )
            if moved is None:
                return False
            await write_refusals(connection, place, step.recorded_ids, step.refused)
        return True


async def write_refusals(
    connection: Connection,
    place: tuple[str, str, str],
    recorded_ids: Sequence[str],
    refused: Sequence[Refusal],
) -> None:
    """Keep the last refusal of each record of *place* (tenant, connector, CRM object), until it is recorded."""
    if recorded_ids:
        await connection.execute(_SQL["clear_refusals"].text, *place, list(recorded_ids))
    latest = {item.external_id: item for item in refused}
    if latest:
        await connection.execute(
            _SQL["note_refusals"].text,
            *place,
            list(latest),
            [item.reason for item in latest.values()],
            [item.message for item in latest.values()],
            [item.event_time for item in latest.values()],
        )


class PostgresCalendar:
    """Port `Calendar` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read(self, tenant_id: str, connector: str) -> list[Warned]:
        """Return what is stored of an account."""
        async with translated():
            rows = await self._pool.fetch(_SQL["read_expiries"].text, tenant_id, connector)
        return [warned(row) for row in rows]

    async def write(
        self, lease: Lease, tenant_id: str, connector: str, held: Sequence[Warned], now: dt.datetime
    ) -> None:
        """Replace what is stored of an account."""
        async with _held(self._pool, lease) as connection:
            await connection.execute(
                _SQL["write_expiries"].text,
                tenant_id,
                connector,
                now,
                [item.expiry.kind for item in held],
                [item.expiry.subject for item in held],
                [item.expiry.expire_time for item in held],
                [item.expiry.renewable for item in held],
                [item.warned_days for item in held],
                [item.warn_time for item in held],
                [item.finding for item in held],
            )
            await connection.execute(_SQL["drop_expiries"].text, tenant_id, connector, now)
