"""The event log on Postgres: what reads it for people."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import asyncpg

from headwater.ingest.domain.event import Disposition, EventCount, Place, RecordedEvent
from headwater.ingest.store.faults import translated
from headwater.ingest.store.log import EVENT_SQL
from headwater.ingest.store.rows import recorded_event
from headwater.kernel.record_hash import record_hash, tenant_range

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

    async def get_event_by_seq(self, tenant_id: str, seq: int) -> RecordedEvent | None:
        """Return the event with that number, None when there is none."""
        rows = await self._fetch("get_event_by_seq", tenant_id, seq)
        return recorded_event(rows[0]) if rows else None

    async def list_tenant_events(self, tenant_id: str, before: Place, limit: int) -> list[RecordedEvent]:
        """Return a tenant's events below a place, newest first."""
        hashes = tenant_range(tenant_id)
        return await self._list(tenant_id, hashes, (None, None, None), before, limit)

    async def list_record_events(
        self, tenant_id: str, source: str, object_name: str, external_id: str, before: Place, limit: int
    ) -> list[RecordedEvent]:
        """Return a record's events below a place, newest first."""
        record = (source, object_name, external_id)
        hashed = record_hash(tenant_id, *record)
        return await self._list(tenant_id, (hashed, hashed), record, before, limit)

    async def _list(
        self,
        tenant_id: str,
        hashes: tuple[int, int],
        record: Sequence[str | None],
        before: Place,
        limit: int,
    ) -> list[RecordedEvent]:
        rows = await self._fetch("list_events", tenant_id, *hashes, *record, *before, limit)
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
