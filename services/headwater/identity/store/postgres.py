"""The store: transactions for resolving and merging, and questions that only read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Self

from headwater.identity.domain.explaining import Side
from headwater.identity.domain.locking import tenant_lock
from headwater.identity.domain.merging import EntityState
from headwater.identity.domain.records import Holder, Key, RecordId
from headwater.identity.domain.resolving import KnownRecord
from headwater.identity.ports import CandidateRow, MemberRow, ObjectCount
from headwater.identity.store.merging import PostgresMergeTransaction
from headwater.identity.store.resolving import PostgresResolveTransaction, read_holders, read_known
from headwater.identity.store.rows import entity_of, holder_of, key_of, ref_of
from headwater.identity.store.session import Session, Sessions
from headwater.kernel.ids import EntityId, TenantId

SIDE_KEYS_MAX: Final = 1_000
"""Keys of an entity that an explanation reads, oldest records first."""


@dataclass(frozen=True, slots=True)
class PostgresIdentityStore:
    """Entities in the schema `identity`.

    Args:
        key_rows_max: records of one key that are read; those beyond decide nothing.
        statement_timeout_s: longest statement of a transaction, when the caller gave no deadline.
    """

    sessions: Sessions
    key_rows_max: int
    statement_timeout_s: float

    @asynccontextmanager
    async def resolving(
        self, tenant_id: TenantId, locks: Sequence[int], timeout_s: float | None
    ) -> AsyncIterator[PostgresResolveTransaction]:
        """Open a transaction that holds *locks*; commits at the end of the block."""
        async with self.sessions.transaction() as session:
            limit = self._statement_timeout(timeout_s)
            await session.fetch("lock_resolving", tenant_lock(tenant_id), limit, locks)
            yield PostgresResolveTransaction(session, tenant_id, self.key_rows_max)

    @asynccontextmanager
    async def merging(
        self, tenant_id: TenantId, timeout_s: float | None
    ) -> AsyncIterator[PostgresMergeTransaction]:
        """Open a transaction that has the tenant alone; commits at the end of the block."""
        async with self.sessions.transaction() as session:
            limit = self._statement_timeout(timeout_s)
            await session.fetch("lock_tenant_alone", tenant_lock(tenant_id), limit)
            yield PostgresMergeTransaction(session, tenant_id)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Self]:
        """Open the store as of one moment, for questions only."""
        async with self.sessions.snapshot() as sessions:
            yield replace(self, sessions=sessions)

    def _statement_timeout(self, timeout_s: float | None) -> str:
        left_s = self.statement_timeout_s if timeout_s is None else min(timeout_s, self.statement_timeout_s)
        return str(max(1, round(left_s * 1000)))

    async def list_known(
        self, tenant_id: TenantId, records: Sequence[RecordId]
    ) -> Mapping[RecordId, KnownRecord]:
        async with self.sessions.open() as session:
            return await read_known(session, tenant_id, records)

    async def list_holders(self, tenant_id: TenantId, keys: Iterable[Key]) -> Mapping[Key, Sequence[Holder]]:
        async with self.sessions.open() as session:
            return await read_holders(session, tenant_id, keys, self.key_rows_max)

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
        return [MemberRow(ref_of(row), row["rule"], row["resolve_time"]) for row in rows]

    async def find_side_of_record(self, tenant_id: TenantId, record_id: RecordId) -> Side | None:
        async with self.sessions.open() as session:
            row = await session.fetch_one("find_entity_of_record", tenant_id, record_id)
            if row is None:
                return None
            rows = await session.fetch("list_keyed_of_record", tenant_id, record_id)
            return await _side(
                session, tenant_id, row["entity_id"], [(key_of(r), holder_of(r)) for r in rows]
            )

    async def find_side_of_entity(self, tenant_id: TenantId, entity_id: EntityId) -> Side | None:
        async with self.sessions.open() as session:
            rows = await session.fetch("list_keyed_of_entity", tenant_id, entity_id, SIDE_KEYS_MAX)
            return await _side(session, tenant_id, entity_id, [(key_of(r), holder_of(r)) for r in rows])

    async def list_candidates(
        self, tenant_id: TenantId, after_seq: int, rows_max: int
    ) -> Sequence[CandidateRow]:
        async with self.sessions.open() as session:
            rows = await session.fetch("list_candidates", tenant_id, after_seq, rows_max)
        return [
            CandidateRow(
                row["seq"], row["entity_id"], row["other_entity_id"], row["object"], row["rule"], ref_of(row)
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


async def _side(
    session: Session, tenant_id: TenantId, entity_id: EntityId, keys: Sequence[tuple[Key, Holder]]
) -> Side | None:
    row = await session.fetch_one("find_entity", tenant_id, entity_id)
    return None if row is None else Side(entity_id, row["object"], keys)
