"""Erasing records, in the schema `identity`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headwater.identity.domain.locking import tenant_lock
from headwater.identity.domain.records import RecordId
from headwater.identity.domain.scoring.parts import Parts
from headwater.identity.domain.scoring.stored import dump
from headwater.identity.ports import Erased
from headwater.identity.store.session import Sessions
from headwater.kernel.ids import TenantId

_NOTHING: Final = dump(Parts())


@dataclass(frozen=True, slots=True)
class PostgresRecordEraser:
    """Empties records in a transaction that has the tenant alone: no resolving reads half of it.

    Args:
        statement_timeout_s: longest statement.
    """

    sessions: Sessions
    statement_timeout_s: float

    async def erase(self, tenant_id: TenantId, records: Sequence[RecordId], *, dry_run: bool) -> Erased:
        async with self.sessions.transaction() as session:
            limit = str(max(1, round(self.statement_timeout_s * 1000)))
            await session.fetch("lock_tenant", tenant_lock(tenant_id), limit)
            (row,) = await session.fetch("erase_records", tenant_id, records, dry_run, _NOTHING)
        return Erased(row["members"], row["statements"], row["keys"], row["notes"])
