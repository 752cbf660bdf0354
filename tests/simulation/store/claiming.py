"""Claiming and the journal of claims, as the statements of `delivery.sql` do it. No suspension here."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Mapping
from typing import Final, cast

from tests.simulation.store.tables import AccountKey, DeliveryRow, Tables

from headwater.kernel.ids import ObjectName
from headwater.sync.domain.delivering import Claimed, ReferenceState
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.settling import State
from headwater.sync.store.line import Place

_DOUBTS: Final = frozenset({"in_doubt", "partial"})
"""Error classes of a last try that is in doubt still."""


def due_rows(
    tables: Tables, key: AccountKey, lane: Lane, behind: Place, excluding: Collection[uuid.UUID]
) -> list[DeliveryRow]:
    """Return what stands in *lane* behind a place and is due, in the order of the queue."""
    now = tables.now()
    rows = [
        row
        for row in tables.account(key).values()
        if row.is_due
        and row.lane is lane
        and behind < (row.due_time, row.entity_id)
        and row.due_time <= now
        and row.entity_id not in excluding
    ]
    return sorted(rows, key=lambda row: (row.due_time, row.entity_id))


def later_due_s(tables: Tables, key: AccountKey) -> float | None:
    """Return the seconds until the next delivery that is not due yet; None when there is none."""
    now = tables.now()
    times = [row.due_time for row in tables.account(key).values() if row.is_due and row.due_time > now]
    return (min(times) - now).total_seconds() if times else None


def next_due_s(tables: Tables, key: AccountKey, excluding: Collection[uuid.UUID]) -> float | None:
    """Return the seconds until something is due that is not among *excluding*; None when nothing waits."""
    times = [
        row.due_time for row in tables.account(key).values() if row.is_due and row.entity_id not in excluding
    ]
    return max(0.0, (min(times) - tables.now()).total_seconds()) if times else None


def judge_anew(tables: Tables, key: AccountKey) -> None:
    """Make due what the policy holds: the account begins anew, perhaps under another policy."""
    for row in tables.account(key).values():
        if row.state is State.HELD:
            row.state, row.lane, row.due_time = State.PENDING, Lane.RETRY, tables.now()


def put_in_doubt(tables: Tables, key: AccountKey, fence: int) -> None:
    """Clear the journal up to *fence*; what it names, and is due still, is in doubt."""
    slots = tables.inflight.get(key, {})
    for slot, row in list(slots.items()):
        if row.fence > fence:
            continue
        del slots[slot]
        for entity_id in row.entities:
            held = tables.account(key).get(entity_id)
            if held is not None and held.state in {State.PENDING, State.RETRYING}:
                held.state = State.IN_DOUBT


def may_be_written(tables: Tables, row: DeliveryRow) -> bool:
    """Return whether we may have written the record of *row* without knowing it: a try under way, or not a success."""
    slots = tables.inflight.get((row.tenant_id, row.connector), {}).values()
    under_way = any(row.entity_id in slot.entities for slot in slots)
    return row.state is State.IN_DOUBT or row.try_count > 0 or under_way


def claimed_of(tables: Tables, row: DeliveryRow) -> Claimed | None:
    """Return *row* as an actor sees it; None while its entity is not there."""
    entity = tables.entities.get((row.tenant_id, row.entity_id))
    if entity is None:
        return None
    waited = tables.now() - row.wait_since if row.wait_since else dt.timedelta(0)
    return Claimed(
        tenant_id=row.tenant_id,
        connector=row.connector,
        entity_id=row.entity_id,
        object=cast("ObjectName", row.object),
        state=entity.state,
        merged_into=entity.merged_into,
        version=entity.version,
        values={name: chosen.value for name, chosen in entity.fields.items()},
        crm_object=row.crm_object,
        crm_id=row.crm_id,
        known=dict(row.known),
        failure_count=row.failure_count,
        in_doubt=row.state is State.IN_DOUBT
        or row.last_error_class in _DOUBTS
        or (entity.state != "active" and not row.crm_id),
        waited_s=waited.total_seconds(),
        event_key=row.event_key,
        mark_time=row.mark_time,
        dirty_time=row.dirty_time,
        trace=row.trace,
        last_trace=row.last_trace,
        tries_before=row.try_count,
        lane=row.lane,
        due_time=row.due_time,
        delivered_version=row.delivered_version,
        erred=bool(row.last_error_class),
        references=_references(tables, row),
    )


def _references(tables: Tables, row: DeliveryRow) -> tuple[ReferenceState, ...]:
    found = []
    account: Mapping[uuid.UUID, DeliveryRow] = tables.account((row.tenant_id, row.connector))
    for name, target in tables.references.get((row.tenant_id, row.entity_id), ()):
        entity = tables.entities.get((row.tenant_id, target))
        stands = entity.merged_into if entity is not None and entity.merged_into else target
        held = account.get(stands)
        found.append(
            ReferenceState(name, target, held.crm_id if held else "", held.is_due if held else False)
        )
    return tuple(found)
