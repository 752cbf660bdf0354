"""Reading and writing what a batch comes to: one statement each way, whatever the batch's size."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from headwater.identity.domain.identifying import Identified
from headwater.identity.domain.records import RecordId
from headwater.identity.domain.resolving.values import (
    KnownRecord,
    Looked,
    Near,
    NewCandidate,
    NewMember,
    Plan,
    Wanted,
)
from headwater.identity.domain.scoring.stored import dump
from headwater.identity.store.rows import all_known_of, keys_text, looked_of, near_of
from headwater.identity.store.session import Session
from headwater.kernel.ids import TenantId

SAID_MAX: Final = 16
"""Statements of one record that are kept as they were told; beyond it the two oldest become one."""
SEPARATOR: Final = "\x1e"
"""Stands between two statements of one record in a batch: JSON has no such character unescaped."""


async def read_known(
    session: Session, tenant_id: TenantId, told: Mapping[RecordId, int | None]
) -> Mapping[RecordId, KnownRecord]:
    """Return those records that were resolved before; of those that say what they said last, only where they are.

    Args:
        told: digests of what they say, by record; None where nothing is said.
    """
    digests = [one for one in told.values() if one is not None]
    rows = await session.fetch("list_known", tenant_id, list(told), digests, rows=len(told))
    return all_known_of(rows[0])


async def read_looked(
    session: Session, tenant_id: TenantId, records: Sequence[RecordId], keys: Sequence[int], rows_max: int
) -> Looked:
    """Return what records meet by their keys."""
    rows = await session.fetch("look_up", tenant_id, records, keys, rows_max, rows=len(records))
    return looked_of(rows[0])


async def read_near(
    session: Session, tenant_id: TenantId, wanted: Wanted, near_max: int, *, keys: bool
) -> Near:
    """Return the neighbourhood of records; nothing where there are none."""
    if not wanted.size:
        return Near()
    rows = await session.fetch(
        "load_near",
        tenant_id,
        list(wanted.seeds),
        list(wanted.turned),
        wanted.bits_min,
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
    if plan.renamed:
        await session.fetch("restore_names", tenant_id, *_turned(plan.renamed, _IDS, _TEXTS))


def _columns(plan: Plan) -> Iterator[Any]:
    """Yield what a plan writes, table by table, as the statement takes it."""
    yield from _turned(plan.founders, _IDS, _TEXTS)
    yield from _turned([_member(one) for one in plan.members], *_MEMBER)
    yield from _turned([(one.record_id, *_told(one.identified), one.digest) for one in plan.known], *_KNOWN)
    yield from _turned(plan.moved, _IDS, _IDS)
    yield from _turned(plan.keys, _IDS, _IDS)
    yield _IDS(plan.barred)
    yield from _turned([(*pair, bits) for pair, bits, _ in plan.edges], _IDS, _IDS, _IDS)
    yield from _turned(plan.gone, _IDS, _IDS)
    uses = [(key, use.value, use.generic, use.crowded) for key, use in plan.uses]
    yield from _turned(uses, _IDS, _TEXTS, _IDS, _IDS)
    yield from _turned(plan.held, _IDS, _IDS)
    yield from _turned([_candidate(one) for one in plan.candidates], *_CANDIDATE)
    yield _IDS([weights for _, _, weights in plan.edges])
    yield _IDS([one.weights for one in plan.candidates])
    said = [(one, SEPARATOR.join(said)) for one, said in _by_record(plan.said).items()]
    yield from _turned(said, _IDS, _TEXTS)


def _member(one: NewMember) -> tuple[Any, ...]:
    record = one.record
    ref, told = record.ref, _told(record.identified)
    return (
        record.record_id, ref.source, ref.object, ref.external_id, one.entity_id, one.group_id, one.rule,
        record.event_key, *told, record.digest,
    )  # fmt: skip


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


_Column = Callable[[Sequence[Any]], Any]


def _turned(rows: Sequence[Sequence[Any]], *columns: _Column) -> Iterator[Any]:
    """Yield rows as columns."""
    if not rows:
        return (column(()) for column in columns)
    return (column(values) for column, values in zip(columns, zip(*rows, strict=True), strict=True))


def _plain(values: Sequence[Any]) -> str:
    """Return an array of ids, numbers or truth values as Postgres reads it."""
    return "{" + ",".join(map(str, values)) + "}"


def _quoted(values: Sequence[str]) -> str:
    """Return an array of texts as Postgres reads it."""
    if not values:
        return "{}"
    text = '{"' + '","'.join(values) + '"}'
    if "\\" not in text and text.count('"') == 2 * len(values):
        return text
    escaped = [one.replace("\\", "\\\\").replace('"', '\\"') for one in values]
    return '{"' + '","'.join(escaped) + '"}'


_IDS: Final[_Column] = _plain
_TEXTS: Final[_Column] = _quoted
_BYTES: Final[_Column] = tuple
_MEMBER: Final = (
    _IDS, _TEXTS, _TEXTS, _TEXTS, _IDS, _IDS, _TEXTS, _IDS, _BYTES, _TEXTS, _IDS, _IDS, _IDS,
)  # fmt: skip
_KNOWN: Final = (_IDS, _BYTES, _TEXTS, _IDS, _IDS, _IDS)
_CANDIDATE: Final = (_IDS, _IDS, _TEXTS, _TEXTS, _TEXTS, _IDS, _TEXTS, _IDS, _IDS)
