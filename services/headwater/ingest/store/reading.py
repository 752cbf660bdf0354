"""The event log on Postgres: what reads it for people."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import asyncpg

from headwater.ingest.domain.event import Disposition, EventCount, RecordedEvent
from headwater.ingest.domain.keys import record_hash
from headwater.ingest.store.faults import translated
from headwater.ingest.store.log import EVENT_SQL
from headwater.ingest.store.rows import recorded_event

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool


class PostgresEventReader:
    """Reads single events and pages; keeps `ports.EventReader`."""

    def __init__(self, pool: Pool, *, acquire_timeout_s: float) -> None:
        self._pool = pool
        self._acquire_timeout_s = acquire_timeout_s

    async def get_event(self, tenant_id: str, event_key: uuid.UUID) -> RecordedEvent | None:
        """Return one event, None when the key is unknown."""
        rows = await self._fetch("get_event", tenant_id, event_key)
        return recorded_event(rows[0]) if rows else None

    async def list_tenant_events(self, tenant_id: str, before_seq: int, limit: int) -> list[RecordedEvent]:
        """Return a tenant's events below a seq, newest first."""
        rows = await self._fetch("list_tenant_events", tenant_id, before_seq, limit)
        return [recorded_event(row) for row in rows]

    async def list_record_events(
        self, tenant_id: str, source: str, object_name: str, external_id: str, before_seq: int, limit: int
    ) -> list[RecordedEvent]:
        """Return a record's events below a seq, newest first."""
        record = (tenant_id, source, object_name, external_id)
        rows = await self._fetch("list_record_events", record_hash(*record), *record, before_seq, limit)
        return [recorded_event(row) for row in rows]

    async def read_counts(self, tenant_id: str) -> list[EventCount]:
        """Return the exact counts of a tenant's log."""
        rows = await self._fetch("read_counts", tenant_id)
        return [
            EventCount(row["source"], row["object"], Disposition(row["disposition"]), row["count"])
            for row in rows
        ]

    async def _fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        with translated():
            async with self._pool.acquire(timeout=self._acquire_timeout_s) as connection:
                return await connection.fetch(EVENT_SQL[query].text, *arguments)
