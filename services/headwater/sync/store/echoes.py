"""What is stored about CRM records that we write, for telling echoes."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from headwater.kernel.pg import queries
from headwater.sync.domain.echoing import CrmKey, OwnWrite
from headwater.sync.domain.rows import plain_values
from headwater.sync.projector.echoes import FoundRecord
from headwater.sync.store.faults import translated

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

_SQL = queries.load("headwater.sync", "echo.sql")

WRITES_MAX: Final = 20
"""Writes of ours that are looked at per record, the newest."""


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
            values = plain_values(row["fields"]) if row["state"] == "active" else {}
            found[key] = FoundRecord(key, row["entity_id"], row["object"], row["known"], values, row["waits"])
        return found

    async def own_writes(
        self, records: Sequence[tuple[str, str, uuid.UUID]]
    ) -> dict[tuple[str, str, uuid.UUID], list[OwnWrite]]:
        """Return our writes of late, by tenant, connector and entity."""
        columns = [[record[index] for record in records] for index in range(3)]
        async with translated():
            rows = await self._pool.fetch(_SQL["read_own_writes"].text, *columns, WRITES_MAX)
        writes: dict[tuple[str, str, uuid.UUID], list[OwnWrite]] = {}
        for row in rows:
            place = (row["tenant_id"], row["connector"], row["entity_id"])
            for item in row["changes"]:
                write = OwnWrite(item["field"], item.get("before"), item.get("after"), row["audit_time"])
                writes.setdefault(place, []).append(write)
        return writes
