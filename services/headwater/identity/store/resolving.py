"""Reading and writing what a batch comes to: one statement each way, whatever the batch's size."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from headwater.identity.domain.identifying import Identified
from headwater.identity.domain.records import RecordId
from headwater.identity.domain.resolving.values import KnownRecord, Looked, Near, NewCandidate, Plan, Wanted
from headwater.identity.domain.scoring.stored import dump
from headwater.identity.store.rows import keys_text, known_of, looked_of, near_of
from headwater.identity.store.session import Session
from headwater.kernel.ids import TenantId

SAID_MAX: Final = 16
"""Statements of one record that are kept as they were told; beyond it the two oldest become one."""
SEPARATOR: Final = "\x1e"
"""Stands between two statements of one record in a batch: JSON has no such character unescaped."""


async def read_known(
    session: Session, tenant_id: TenantId, records: Sequence[RecordId]
) -> Mapping[RecordId, KnownRecord]:
    """Return those of *records* that were resolved before."""
    rows = await session.fetch("list_known", tenant_id, records, rows=len(records))
    return {row["record_id"]: known_of(*row.values()) for row in rows}


async def read_looked(
    session: Session, tenant_id: TenantId, records: Sequence[RecordId], keys: Sequence[int], rows_max: int
) -> Looked:
    """Return what records meet by their keys."""
    rows = await session.fetch("look_up", tenant_id, records, keys, rows_max, rows=len(records))
    return looked_of(rows[0])


async def read_near(
    session: Session, tenant_id: TenantId, wanted: Wanted, bits_min: float, near_max: int, *, keys: bool
) -> Near:
    """Return the neighbourhood of records; nothing where there are none."""
    if not wanted.size:
        return Near()
    rows = await session.fetch(
        "load_near",
        tenant_id,
        list(wanted.seeds),
        list(wanted.turned),
        bits_min,
        near_max,
        keys,
        rows=wanted.size,
    )
    return near_of(rows[0], near_max)


async def write_plan(session: Session, tenant_id: TenantId, plan: Plan, now: dt.datetime) -> None:
    """Write what a batch comes to, its merges aside."""
    if plan.writes:
        columns = _columns(plan)
        await session.fetch(
            "write_plan", tenant_id, now, plan.version, *columns, SAID_MAX, rows=len(plan.resolutions)
        )


def _columns(plan: Plan) -> Iterator[Sequence[Any]]:
    """Yield what a plan writes, table by table, as the statement takes it."""
    members = [
        (
            one.record.record_id,
            *one.record.ref,
            one.entity_id,
            one.group_id,
            one.rule,
            one.record.event_key,
            *_told(one.record.identified),
            one.record.digest,
        )
        for one in plan.members
    ]
    uses = [(key, use.value, use.generic, use.crowded) for key, use in plan.uses]
    yield from _turned(plan.founders, 2)
    yield from _turned(members, 13)
    yield from _turned([(one.record_id, *_told(one.identified), one.digest) for one in plan.known], 6)
    yield from _turned(plan.moved, 2)
    yield from _turned(sorted(plan.keys), 2)  # in the order of the index
    yield from _turned([(*pair, bits) for pair, bits in plan.edges], 3)
    yield from _turned(plan.gone, 2)
    yield from _turned(uses, 4)
    yield from _turned(plan.held, 2)
    yield from _turned([_candidate(one) for one in plan.candidates], 9)
    yield from _turned([(one, SEPARATOR.join(said)) for one, said in _by_record(plan.said).items()], 2)


def _by_record(said: Sequence[tuple[RecordId, str]]) -> Mapping[RecordId, Sequence[str]]:
    found: dict[RecordId, list[str]] = {}
    for record, text in said:
        found.setdefault(record, []).append(text)
    return found


def _told(told: Identified) -> tuple[bytes, str, int, int]:
    return dump(told.parts), keys_text(told.keys), told.strong, told.exclusive


def _candidate(one: NewCandidate) -> tuple[Any, ...]:
    two: tuple[Any, Any] = (one.entity_id, one.other_entity_id)
    if one.question == "split":
        two = (one.record_id, one.other_record_id)
    low, high = sorted(two)
    return (
        low,
        high,
        one.object,
        one.rule,
        one.blocked_by,
        one.bits,
        one.question,
        one.record_id,
        one.other_record_id,
    )


def _turned(rows: Sequence[Sequence[Any]], width: int) -> Iterator[Sequence[Any]]:
    """Yield rows as columns."""
    return iter(list(zip(*rows, strict=True)) if rows else [()] * width)
