"""The transaction in which a batch is resolved: one statement per table, whatever the batch's size."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from headwater.identity.domain.records import Holder, Key, RecordId
from headwater.identity.domain.resolving import KnownRecord, Plan
from headwater.identity.store.rows import evidence_columns, holder_of, known_of
from headwater.identity.store.session import Session
from headwater.kernel.ids import TenantId


async def read_holders(
    session: Session, tenant_id: TenantId, keys: Iterable[Key], rows_max: int
) -> Mapping[Key, Sequence[Holder]]:
    """Return who has each of *keys*, at most *rows_max* records a key."""
    wanted = list(keys)
    if not wanted:
        return {}
    rows = await session.fetch(
        "list_holders",
        tenant_id,
        [key.object for key in wanted],
        [key.kind for key in wanted],
        [key.value for key in wanted],
        rows_max,
        rows=len(wanted),
    )
    found: dict[Key, list[Holder]] = {}
    for row in rows:
        found.setdefault(wanted[row["ord"] - 1], []).append(holder_of(row))
    return found


@dataclass(frozen=True, slots=True)
class PostgresResolveTransaction:
    """A resolving transaction under way."""

    session: Session
    tenant_id: TenantId
    key_rows_max: int

    async def list_known(self, records: Sequence[RecordId]) -> Mapping[RecordId, KnownRecord]:
        rows = await self.session.fetch("list_known", self.tenant_id, records, rows=len(records))
        return {row["record_id"]: known_of(row) for row in rows}

    async def list_holders(self, keys: Iterable[Key]) -> Mapping[Key, Sequence[Holder]]:
        return await read_holders(self.session, self.tenant_id, keys, self.key_rows_max)

    async def write(self, plan: Plan, now: dt.datetime) -> None:
        await self._insert_entities(plan, now)
        await self._insert_members(plan, now)
        await self._update_evidence(plan)
        await self._insert_keys(plan)
        await self._insert_candidates(plan, now)

    async def _insert_entities(self, plan: Plan, now: dt.datetime) -> None:
        if plan.founders:
            ids, objects = zip(*plan.founders, strict=True)
            await self.session.fetch("insert_entities", self.tenant_id, ids, objects, now, rows=len(ids))

    async def _insert_members(self, plan: Plan, now: dt.datetime) -> None:
        rows = [
            (
                one.record_id,
                one.ref.source,
                one.ref.object,
                one.ref.external_id,
                one.entity_id,
                one.rule,
                one.event_key,
                *evidence_columns(one.evidence),
            )
            for one in plan.members.values()
        ]
        if rows:
            columns = zip(*rows, strict=True)
            await self.session.fetch("insert_members", self.tenant_id, now, *columns, rows=len(rows))

    async def _update_evidence(self, plan: Plan) -> None:
        rows = [(record, *evidence_columns(evidence)) for record, evidence in plan.evidence.items()]
        if rows:
            columns = zip(*rows, strict=True)
            await self.session.fetch("update_evidence", self.tenant_id, *columns, rows=len(rows))

    async def _insert_keys(self, plan: Plan) -> None:
        rows = [(record, *key) for record, key in plan.keys]
        if rows:
            columns = zip(*rows, strict=True)
            await self.session.fetch("insert_keys", self.tenant_id, *columns, rows=len(rows))

    async def _insert_candidates(self, plan: Plan, now: dt.datetime) -> None:
        rows = [
            (
                min(one.entity_id, one.other_entity_id),
                max(one.entity_id, one.other_entity_id),
                one.object,
                one.rule,
                one.blocked_by,
                one.record_id,
                one.other_record_id,
            )
            for one in plan.candidates.values()
        ]
        if rows:
            columns = zip(*rows, strict=True)
            await self.session.fetch("insert_candidates", self.tenant_id, now, *columns, rows=len(rows))
