"""The quarantine on Postgres: the task list and the two ways out of it."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING

from headwater.ingest.domain.event import (
    Actor,
    NewEvent,
    QuarantinedEvent,
    QuarantineFilter,
    QuarantineGroup,
    QuarantineState,
)
from headwater.ingest.store.announcing import Announcer
from headwater.ingest.store.faults import translated
from headwater.ingest.store.log import QUARANTINE_SQL, append_few, enter
from headwater.ingest.store.rows import as_uuid, quarantined_event
from headwater.kernel.tenancy import every_tenant

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool


class PostgresQuarantine:
    """Lists, releases and discards; keeps `ports.Quarantine`."""

    def __init__(self, pool: Pool, announcer: Announcer, *, acquire_timeout_s: float) -> None:
        self._pool = pool
        self._announcer = announcer
        self._acquire_timeout_s = acquire_timeout_s

    async def get_quarantined(self, tenant_id: str, event_key: uuid.UUID) -> QuarantinedEvent | None:
        """Return one entry, None when there is none."""
        with translated():
            async with self._pool.acquire(timeout=self._acquire_timeout_s) as connection:
                row = await connection.fetchrow(QUARANTINE_SQL["get_quarantined"].text, tenant_id, event_key)
        return quarantined_event(row) if row else None

    async def list_quarantined(
        self,
        tenant_id: str,
        after: tuple[dt.datetime, uuid.UUID],
        limit: int,
        *,
        wanted: QuarantineFilter,
        include_closed: bool,
    ) -> list[QuarantinedEvent]:
        """Return entries after a place, oldest first."""
        query = QUARANTINE_SQL["list_all" if include_closed else "list_open"].text
        with translated():
            async with self._pool.acquire(timeout=self._acquire_timeout_s) as connection:
                rows = await connection.fetch(
                    query, tenant_id, *after, limit, wanted.rule, wanted.field, wanted.source
                )
        return [quarantined_event(row) for row in rows]

    async def list_groups(self, tenant_id: str, limit: int) -> list[QuarantineGroup]:
        """Return open entries grouped by what they break, the largest group first."""
        with translated():
            async with self._pool.acquire(timeout=self._acquire_timeout_s) as connection:
                rows = await connection.fetch(QUARANTINE_SQL["list_groups"].text, tenant_id, limit)
        return [QuarantineGroup(**{**dict(row), "sample_keys": tuple(row["sample_keys"])}) for row in rows]

    async def count_open(self, tenant_id: str) -> int:
        """Return the number of open entries."""
        with translated():
            async with self._pool.acquire(timeout=self._acquire_timeout_s) as connection:
                return int(await connection.fetchval(QUARANTINE_SQL["count_open"].text, tenant_id))

    async def release(self, released_from: uuid.UUID, event: NewEvent, actor: Actor) -> QuarantineState:
        """Put *event* into the log and close its entry in one transaction; see the port.

        The log is written by the service's own role alone.
        """
        place = (event.tenant_id, released_from)
        with translated(), every_tenant():
            async with (
                self._pool.acquire(timeout=self._acquire_timeout_s) as connection,
                connection.transaction(),
            ):
                await enter(connection, [event])
                state = await _lock(connection, *place)
                if state != QuarantineState.OPEN:
                    return state or QuarantineState.DISCARDED
                await append_few(connection, [event])
                await connection.execute(
                    QUARANTINE_SQL["close_released"].text,
                    *place,
                    as_uuid(event.event_key),
                    *_columns(actor),
                )
        self._announcer.ring()
        return QuarantineState.OPEN

    async def discard(
        self, tenant_id: str, event_key: uuid.UUID, reason: str, actor: Actor
    ) -> QuarantineState | None:
        """Close an open entry with a reason; see the port."""
        with translated():
            async with (
                self._pool.acquire(timeout=self._acquire_timeout_s) as connection,
                connection.transaction(),
            ):
                state = await _lock(connection, tenant_id, event_key)
                if state == QuarantineState.OPEN:
                    await connection.execute(
                        QUARANTINE_SQL["close_discarded"].text, tenant_id, event_key, reason, *_columns(actor)
                    )
        return state

    async def count_all_open(self, tenants_max: int) -> dict[str, float]:
        """Return tenant to open entries, those with most first; see `usecases.measuring.OpenEntries`."""
        with translated():
            async with self._pool.acquire(timeout=self._acquire_timeout_s) as connection:
                rows = await connection.fetch(QUARANTINE_SQL["count_all_open"].text, tenants_max)
        return {row["tenant_id"]: row["open_entries"] for row in rows}


async def _lock(connection: Connection, tenant_id: str, event_key: uuid.UUID) -> QuarantineState | None:
    row = await connection.fetchrow(QUARANTINE_SQL["lock_entry"].text, tenant_id, event_key)
    return QuarantineState(row["state"]) if row else None


def _columns(actor: Actor) -> tuple[int, str, str]:
    return actor.kind, actor.actor_id, actor.name
