"""The store: transactions for resolving and merging, and questions that only read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from headwater.identity.domain.explaining import Side, SideRecord
from headwater.identity.domain.locking import tenant_lock
from headwater.identity.domain.merging import EntityState
from headwater.identity.domain.records import GroupId, RecordId, RecordRef
from headwater.identity.domain.resolving.values import KeyUse, KnownRecord, Limits, Looked, Near, Pair, Wanted
from headwater.identity.ports import CandidateRow, MemberRow, ObjectCount
from headwater.identity.store.resolving import read_known, read_looked, read_near
from headwater.identity.store.rows import entity_of, parts_of, ref_of, use_of
from headwater.identity.store.session import Sessions
from headwater.identity.store.transaction import PostgresTransaction
from headwater.kernel.ids import EntityId, TenantId

SIDE_RECORDS_MAX: Final = 50
"""Records of an entity that an explanation compares, oldest first."""


@dataclass(frozen=True, slots=True)
class PostgresIdentityStore:
    """Entities in the schema `identity`.

    Args:
        limits: what is read at the most.
        statement_timeout_s: longest statement of a transaction, when the caller gave no deadline.
    """

    sessions: Sessions
    limits: Limits
    statement_timeout_s: float

    @asynccontextmanager
    async def alone(self, tenant_id: TenantId, timeout_s: float | None) -> AsyncIterator[PostgresTransaction]:
        """Open a transaction that has the tenant alone; commits at the end of the block."""
        async with self.sessions.transaction() as session:
            limit = self._statement_timeout(timeout_s)
            await session.fetch("lock_tenant", tenant_lock(tenant_id), limit)
            yield PostgresTransaction(session, tenant_id, self.limits)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Self]:
        """Open the store as of one moment, for questions only."""
        async with self.sessions.snapshot() as sessions:
            yield replace(self, sessions=sessions)

    def _statement_timeout(self, timeout_s: float | None) -> str:
        left_s = self.statement_timeout_s if timeout_s is None else min(timeout_s, self.statement_timeout_s)
        return str(max(1, round(left_s * 1000)))

    async def list_known(
        self, tenant_id: TenantId, told: Mapping[RecordId, int | None]
    ) -> Mapping[RecordId, KnownRecord]:
        async with self.sessions.open() as session:
            return await read_known(session, tenant_id, told)

    async def look_up(self, tenant_id: TenantId, keys: Sequence[int]) -> Looked:
        async with self.sessions.open() as session:
            return await read_looked(session, tenant_id, (), keys, self.limits.key_rows_max + 1)

    async def load_near(self, tenant_id: TenantId, wanted: Wanted, near_max: int, *, keys: bool) -> Near:
        async with self.sessions.open() as session:
            return await read_near(session, tenant_id, wanted, near_max, keys=keys)

    async def list_uses(self, tenant_id: TenantId, keys: Sequence[int]) -> Mapping[int, KeyUse]:
        async with self.sessions.open() as session:
            rows = await session.fetch("list_uses", tenant_id, keys, rows=len(keys))
        return {row["hash"]: use_of(row) for row in rows}

    async def list_edge_weights(self, tenant_id: TenantId, records: Sequence[RecordId]) -> Mapping[Pair, int]:
        async with self.sessions.open() as session:
            rows = await session.fetch("list_edge_weights", tenant_id, records, rows=len(records))
        return {(row["low_id"], row["high_id"]): row["weights"] for row in rows}

    async def find_ref(
        self, tenant_id: TenantId, record_id: RecordId
    ) -> tuple[RecordRef, EntityId, GroupId] | None:
        async with self.sessions.open() as session:
            row = await session.fetch_one("list_refs_of_records", tenant_id, [record_id])
        return None if row is None else (ref_of(row), row["entity_id"], row["group_id"])

    async def find_entity(self, tenant_id: TenantId, entity_id: EntityId) -> EntityState | None:
        async with self.sessions.open() as session:
            row = await session.fetch_one("find_entity", tenant_id, entity_id)
        return None if row is None else entity_of(row)

    async def find_entity_of_record(self, tenant_id: TenantId, record_id: RecordId) -> EntityId | None:
        async with self.sessions.open() as session:
            row = await session.fetch_one("find_entity_of_record", tenant_id, record_id)
        return None if row is None else EntityId(row["entity_id"])

    async def list_members(self, tenant_id: TenantId, entity_id: EntityId) -> Sequence[MemberRow]:
        async with self.sessions.open() as session:
            rows = await session.fetch("list_members", tenant_id, entity_id)
        return [MemberRow(ref_of(row), row["rule"], row["resolve_time"], row["group_id"]) for row in rows]

    async def find_side_of_record(self, tenant_id: TenantId, record_id: RecordId) -> Side | None:
        async with self.sessions.open() as session:
            row = await session.fetch_one("list_parts_of_record", tenant_id, record_id)
        return None if row is None else Side(row["entity_id"], row["object"], [_side_record(row)])

    async def find_side_of_entity(self, tenant_id: TenantId, entity_id: EntityId) -> Side | None:
        state = await self.find_entity(tenant_id, entity_id)
        if state is None:
            return None
        async with self.sessions.open() as session:
            rows = await session.fetch("list_parts_of_entity", tenant_id, entity_id, SIDE_RECORDS_MAX)
        return Side(entity_id, state.object, [_side_record(row) for row in rows])

    async def list_candidates(
        self, tenant_id: TenantId, after_seq: int, rows_max: int
    ) -> Sequence[CandidateRow]:
        async with self.sessions.open() as session:
            rows = await session.fetch("list_candidates", tenant_id, after_seq, rows_max)
        return [
            CandidateRow(
                row["seq"],
                row["entity_id"],
                row["other_entity_id"],
                row["object"],
                row["rule"],
                ref_of(row),
                RecordRef(row["other_source"], row["object"], row["other_external_id"]),
                row["bits"],
                row["blocked_by"],
                row["question"],
                row["weights"],
            )
            for row in rows
        ]

    async def count(self, tenant_id: TenantId) -> tuple[Sequence[ObjectCount], int]:
        async with self.sessions.open() as session:
            entities = await session.fetch("count_by_object", tenant_id)
            records = await session.fetch("count_records_by_object", tenant_id)
            candidates = await session.fetch("count_candidates", tenant_id)
        resolved = {row["object"]: row["records"] for row in records}
        counts = [
            ObjectCount(row["object"], row["entities"], resolved.get(row["object"], 0), row["merged"])
            for row in entities
        ]
        return counts, candidates[0]["count"]


def _side_record(row: Any) -> SideRecord:
    return SideRecord(
        row["record_id"], ref_of(row), row["entity_id"], row["group_id"], parts_of(row["parts"])
    )
