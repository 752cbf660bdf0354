"""Candidates and what was decided about them, in the schema `identity`."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from headwater.identity.domain.merging import Actor, Merge
from headwater.identity.domain.records import RecordId, RecordRef
from headwater.identity.domain.reviewing import Action, Kind, Review, Thresholds
from headwater.identity.store.postgres import PostgresIdentityStore
from headwater.identity.store.rows import merge_of, ref_of
from headwater.identity.store.session import Session
from headwater.identity.store.transaction import TOLD_APART_MAX, PostgresTransaction, actor_columns
from headwater.kernel.ids import EntityId, TenantId

SEQ_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class PostgresReviewTransaction(PostgresTransaction):
    """A transaction under way that has the tenant alone."""

    async def find_review(self, seq: int) -> Review | None:
        return await _find_review(self.session, self.tenant_id, seq)

    async def find_action(self, action_id: uuid.UUID) -> Action | None:
        row = await self.session.fetch_one("find_action", self.tenant_id, action_id)
        return None if row is None else _action_of(row)

    async def find_action_of_request(self, request_id: uuid.UUID) -> Action | None:
        row = await self.session.fetch_one("find_action_of_request", self.tenant_id, request_id)
        return None if row is None else _action_of(row)

    async def list_actions(self, candidate_seq: int, rows_max: int) -> Sequence[Action]:
        rows = await self.session.fetch("list_actions", self.tenant_id, candidate_seq, SEQ_MAX, rows_max)
        return [_action_of(row) for row in rows]

    async def write_action(self, action: Action) -> None:
        await self.session.fetch(
            "insert_action",
            self.tenant_id,
            action.action_id,
            action.request_id,
            action.candidate_seq,
            action.kind.value,
            action.entity_id,
            action.other_entity_id,
            action.merge_id,
            action.moved_count,
            action.skip_time,
            action.assignee,
            action.undoes,
            action.reason,
            *actor_columns(action.actor),
            action.action_time,
        )

    async def settle_review(
        self, seq: int, close_time: dt.datetime | None, skip_time: dt.datetime | None, assignee: str
    ) -> None:
        await self.session.fetch("settle_review", self.tenant_id, seq, close_time, skip_time, assignee)

    async def tell_apart(self, action: Action, first: Sequence[RecordId], second: Sequence[RecordId]) -> None:
        await self.session.fetch(
            "tell_apart",
            self.tenant_id,
            first,
            second,
            action.action_id,
            action.action_time,
            TOLD_APART_MAX,
        )

    async def untell_apart(self, cause_id: uuid.UUID) -> None:
        await self.session.fetch("untell_apart", self.tenant_id, cause_id)

    async def forget_split(self, merge: Merge, records: Sequence[RecordId]) -> None:
        await self.untell_apart(merge.merge_id)
        await self.session.fetch("revive_apart", self.tenant_id, merge.merge_id, records)
        await self.session.fetch("reopen_pair", self.tenant_id, merge.merge_id)

    async def keep_before(self, action: Action, records: Sequence[RecordId]) -> None:
        entities = [action.entity_id, action.other_entity_id]
        await self.session.fetch("keep_groups", self.tenant_id, action.action_id, records)
        await self.session.fetch("keep_keys", self.tenant_id, action.action_id, entities)

    async def restore_before(self, action_id: uuid.UUID) -> None:
        await self.session.fetch("restore_groups", self.tenant_id, action_id)
        await self.session.fetch("restore_keys", self.tenant_id, action_id)

    async def list_refs_of(self, records: Sequence[RecordId]) -> Sequence[RecordRef]:
        rows = await self.session.fetch("list_refs_of_records", self.tenant_id, records)
        return [ref_of(row) for row in rows]

    async def find_parting_merge(self, first: RecordId, second: RecordId) -> Merge | None:
        row = await self.session.fetch_one("find_parting_merge", self.tenant_id, [first, second])
        return None if row is None else merge_of(row)

    async def write_part(
        self, merge: Merge, records: Sequence[RecordId], actor: Actor, reason: str, now: dt.datetime
    ) -> Merge:
        (row,) = await self.session.fetch(
            "write_part",
            self.tenant_id,
            merge.merge_id,
            merge.object,
            merge.winner_id,
            merge.loser_id,
            records,
            now,
            *actor_columns(actor),
            reason,
        )
        return replace(merge, seq=row["seq"])


@dataclass(frozen=True, slots=True)
class PostgresReviewStore:
    """Reviews beside the entities that *entities* keeps."""

    entities: PostgresIdentityStore

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Self]:
        """Open the store as of one moment, for questions only."""
        async with self.entities.snapshot() as entities:
            yield replace(self, entities=entities)

    @asynccontextmanager
    async def alone(
        self, tenant_id: TenantId, timeout_s: float | None
    ) -> AsyncIterator[PostgresReviewTransaction]:
        """Open a transaction that has the tenant alone; commits at the end of the block."""
        async with self.entities.alone(tenant_id, timeout_s) as one:
            yield PostgresReviewTransaction(one.session, one.tenant_id, one.limits)

    async def list_reviews(
        self,
        tenant_id: TenantId,
        object_name: str,
        assignee: str,
        now: dt.datetime | None,
        thresholds: Thresholds,
        rows_max: int,
    ) -> Sequence[Review]:
        async with self.entities.sessions.open() as session:
            rows = await session.fetch(
                "list_reviews",
                tenant_id,
                object_name,
                assignee,
                now,
                thresholds.merge_bits,
                thresholds.split_bits,
                rows_max,
            )
        return [_review_of(row) for row in rows]

    async def find_review(self, tenant_id: TenantId, seq: int) -> Review | None:
        async with self.entities.sessions.open() as session:
            return await _find_review(session, tenant_id, seq)

    async def list_actions(
        self, tenant_id: TenantId, candidate_seq: int, before_seq: int, rows_max: int
    ) -> Sequence[Action]:
        async with self.entities.sessions.open() as session:
            rows = await session.fetch("list_actions", tenant_id, candidate_seq, before_seq, rows_max)
        return [_action_of(row) for row in rows]


async def _find_review(session: Session, tenant_id: TenantId, seq: int) -> Review | None:
    row = await session.fetch_one("find_review", tenant_id, seq)
    return None if row is None else _review_of(row)


def _review_of(row: Any) -> Review:
    return Review(
        seq=row["seq"],
        question=row["question"],
        object=row["object"],
        rule=row["rule"],
        blocked_by=row["blocked_by"],
        bits=row["bits"],
        entity_id=EntityId(row["entity_id"]),
        other_entity_id=EntityId(row["other_entity_id"]),
        record_id=row["record_id"],
        other_record_id=row["other_record_id"],
        ref=ref_of(row),
        other_ref=RecordRef(row["other_source"], row["object"], row["other_external_id"]),
        create_time=row["create_time"],
        close_time=row["close_time"],
        skip_time=row["skip_time"],
        assignee=row["assignee"],
        records=row["records"],
        systems=row["systems"],
        weights=row["weights"],
    )


def _action_of(row: Any) -> Action:
    return Action(
        action_id=row["action_id"],
        request_id=row["request_id"],
        candidate_seq=row["candidate_seq"],
        kind=Kind(row["kind"]),
        entity_id=EntityId(row["entity_id"]),
        other_entity_id=EntityId(row["other_entity_id"]),
        actor=Actor(row["actor_type"], row["actor_id"], row["actor_name"]),
        reason=row["reason"],
        action_time=row["action_time"],
        merge_id=row["merge_id"],
        moved_count=row["moved_count"],
        skip_time=row["skip_time"],
        assignee=row["assignee"],
        undoes=row["undoes"],
        undone_by=row["undone_by"],
        seq=row["seq"],
    )
