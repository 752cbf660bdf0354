"""The transaction in which a batch is resolved: one statement per table, whatever the batch's size."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headwater.identity.domain.records import Holder, Key, RecordId
from headwater.identity.domain.resolving import KnownRecord, Plan
from headwater.identity.store.rows import evidence_columns, holder_of, known_of
from headwater.identity.store.session import Session
from headwater.kernel.ids import TenantId


async def read_known(
    session: Session, tenant_id: TenantId, records: Sequence[RecordId]
) -> Mapping[RecordId, KnownRecord]:
    """Return those of *records* that were resolved before."""
    rows = await session.fetch("list_known", tenant_id, records, rows=len(records))
    return {row["record_id"]: known_of(row) for row in rows}


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
        return await read_known(self.session, self.tenant_id, records)

    async def list_holders(self, keys: Iterable[Key]) -> Mapping[Key, Sequence[Holder]]:
        return await read_holders(self.session, self.tenant_id, keys, self.key_rows_max)

    async def write(self, plan: Plan, now: dt.datetime) -> None:
        if plan.writes:
            await self.session.fetch(
                "write_plan", self.tenant_id, now, *_columns(plan), rows=len(plan.resolutions)
            )


def _columns(plan: Plan) -> Iterator[Sequence[Any]]:
    """Yield what a plan writes, table by table, as the statement takes it."""
    members = [
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
    candidates = [
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
    yield from _turned(plan.founders, 2)
    yield from _turned(members, 13)
    yield from _turned(
        [(record, *evidence_columns(evidence)) for record, evidence in plan.evidence.items()], 7
    )
    yield from _turned([(record, *key) for record, key in plan.keys], 5)
    yield from _turned(candidates, 7)


def _turned(rows: Sequence[Sequence[Any]], width: int) -> Iterator[Sequence[Any]]:
    """Yield rows as columns."""
    return iter(list(zip(*rows, strict=True)) if rows else [()] * width)
