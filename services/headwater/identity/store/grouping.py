"""Groups by any id that they had, in the schema `identity`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from headwater.identity.domain.records import GroupId, RecordId
from headwater.identity.redo_ports import GroupMember
from headwater.identity.store.rows import ref_of
from headwater.identity.store.session import Sessions
from headwater.kernel.ids import EntityId, TenantId


@dataclass(frozen=True, slots=True)
class PostgresGroupStore:
    """Groups as records are in them now, and as they were."""

    sessions: Sessions

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Self]:
        """Open the store as of one moment."""
        async with self.sessions.snapshot() as sessions:
            yield type(self)(sessions)

    async def list_ever(
        self, tenant_id: TenantId, group_id: GroupId, rows_max: int
    ) -> Mapping[RecordId, GroupId]:
        async with self.sessions.open() as session:
            rows = await session.fetch("list_ever", tenant_id, group_id, rows_max)
        return {RecordId(row["record_id"]): GroupId(row["group_id"]) for row in rows}

    async def list_group(
        self, tenant_id: TenantId, group_id: GroupId, rows_max: int
    ) -> Sequence[GroupMember]:
        async with self.sessions.open() as session:
            rows = await session.fetch("list_group", tenant_id, group_id, rows_max)
        return [GroupMember(ref_of(row), EntityId(row["entity_id"])) for row in rows]
