"""What is stored about CRM records that we write, for telling echoes."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from headwater.kernel.pg import queries
from headwater.sync.domain.echoing import CrmKey, FormerRecord, OwnWrite, Ruling
from headwater.sync.domain.log import Position
from headwater.sync.domain.rows import plain_values
from headwater.sync.projector.echoes import FoundRecord, Place
from headwater.sync.store.faults import translated

if TYPE_CHECKING:
    import asyncpg

    from headwater.kernel.pg.pool import Pool

_SQL = queries.load("headwater.sync", "echo.sql")

WRITES_MAX: Final = 20
"""Writes of ours that are looked at per record, the newest."""
MARGIN_S: Final = 5.0
"""How much older than its mark a change may be in the audit: what one transaction takes."""


class PostgresHeldRecords:
    """Port `HeldRecords` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, keys: Sequence[CrmKey]) -> dict[CrmKey, FoundRecord]:
        """Return the deliveries that hold these CRM records."""
        columns = [[key[index] for key in keys] for index in range(4)]
        async with translated():
            rows = await self._pool.fetch(_SQL["find_held"].text, *columns)
        found = {}
        for row in rows:
            key = (row["tenant_id"], row["connector"], row["crm_object"], row["crm_id"])
            found[key] = _found(key, row)
        return found

    async def find_former(self, keys: Sequence[CrmKey]) -> dict[CrmKey, FormerRecord]:
        """Return which of these CRM records deliveries held and had to give up."""
        columns = [[key[index] for key in keys] for index in range(4)]
        async with translated():
            rows = await self._pool.fetch(_SQL["find_former"].text, *columns)
        return {
            (row["tenant_id"], row["connector"], row["crm_object"], row["crm_id"]): FormerRecord(
                row["entity_id"], row["end_time"]
            )
            for row in rows
        }

    async def find_written(self, places: Sequence[Place]) -> dict[Place, FoundRecord]:
        """Return deliveries for which we have written a CRM record, or may have without knowing its id."""
        columns = [[place[index] for place in places] for index in range(3)]
        async with translated():
            rows = await self._pool.fetch(_SQL["find_written"].text, *columns)
        found = {}
        for row in rows:
            key = (row["tenant_id"], row["connector"], row["crm_object"], row["crm_id"])
            found[(row["tenant_id"], row["connector"], row["entity_id"])] = _found(key, row)
        return found

    async def sought(self, waits_since: Mapping[Place, dt.datetime]) -> dict[Place, list[tuple[str, Any]]]:
        """Return canonical field and value of what writes under way may carry: what the entities held since then."""
        columns = [[place[index] for place in waits_since] for index in range(3)]
        times = list(waits_since.values())
        async with translated():
            rows = await self._pool.fetch(_SQL["read_sought"].text, *columns, times, WRITES_MAX, MARGIN_S)
        sought: dict[Place, list[tuple[str, Any]]] = {}
        for row in rows:
            place = (row["tenant_id"], row["connector"], row["entity_id"])
            sought.setdefault(place, []).extend((item["field"], item.get("after")) for item in row["changes"])
        return sought

    async def ruled_to(self, shards: Sequence[int]) -> dict[int, Position]:
        """Return up to where events of shards were ruled on before; empty unless the log is projected again."""
        async with translated():
            rows = await self._pool.fetch(_SQL["read_rebuild"].text, list(shards))
        return {row["shard"]: Position(row["xid"], row["seq"]) for row in rows}

    async def rulings(self, events: Sequence[tuple[str, uuid.UUID]]) -> dict[uuid.UUID, Ruling]:
        """Return what was decided about events, by event key."""
        columns = [[event[index] for event in events] for index in range(2)]
        async with translated():
            rows = await self._pool.fetch(_SQL["read_rulings"].text, *columns)
        return {
            row["event_key"]: Ruling(
                row["tenant_id"], row["event_key"], row["entity_id"], tuple(row["kept"]), row["rule"]
            )
            for row in rows
        }

    async def own_writes(self, records: Sequence[Place]) -> dict[Place, list[OwnWrite]]:
        """Return our writes of late, by tenant, connector and entity."""
        columns = [[record[index] for record in records] for index in range(3)]
        async with translated():
            rows = await self._pool.fetch(_SQL["read_own_writes"].text, *columns, WRITES_MAX)
        writes: dict[Place, list[OwnWrite]] = {}
        for row in rows:
            place = (row["tenant_id"], row["connector"], row["entity_id"])
            for item in row["changes"]:
                write = OwnWrite(item["field"], item.get("before"), item.get("after"), row["audit_time"])
                writes.setdefault(place, []).append(write)
        return writes


def _found(key: CrmKey, row: asyncpg.Record) -> FoundRecord:
    values = plain_values(row["fields"]) if row["state"] == "active" else {}
    return FoundRecord(
        key, row["entity_id"], row["object"], row["known"], values, row["waits_since"], row["settle_time"]
    )
