"""Settling, as the statements of `delivery.sql` do it. No suspension here."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.simulation.store.tables import AccountKey, AttemptRow, AuditRow, DeliveryRow, Tables

from headwater.sync.domain.doubting import told
from headwater.sync.domain.echoing import FormerRecord
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.settling import Settlement, State
from headwater.sync.ports import StoreRefused

_GIVEN_UP = frozenset({State.DISCARDED, State.HELD})
"""What the policy or a person keeps from being written."""


def settle(tables: Tables, key: AccountKey, fence: int, items: Sequence[Settlement]) -> None:
    """Write the outcome of tries, with attempts and audit.

    Raises: StoreRefused: two entities would be one CRM record, or a value cannot be stored.
    """
    _refuse_impossible(tables, key, items)
    fresh: list[uuid.UUID] = []
    for item in items:
        row = tables.account(key).get(item.claimed.entity_id)
        if row is None:
            continue
        _update(tables, row, item)
        _tell(tables, key, fence, item)
        if item.state is State.DELIVERED and _is_fresh(item):
            fresh.append(row.entity_id)
    _wake_referrers(tables, key, fresh)


def _is_fresh(item: Settlement) -> bool:
    claimed = item.claimed
    unseen = not claimed.crm_id or claimed.delivered_version == 0 or claimed.in_doubt or item.created
    return bool(item.crm_id) and unseen


def _update(tables: Tables, row: DeliveryRow, item: Settlement) -> None:
    now = tables.now()
    newer = row.desired_version > item.version or (row.reference_came and item.lacks_reference)
    freed = row.desired_version > item.version or row.reference_came
    row.reference_came = False
    if item.state is State.DELIVERED:
        row.delivered_version = item.version
        row.dirty_time, row.settle_time = row.mark_time, now
    goes_on = (item.state is State.DELIVERED and newer) or (item.state in _GIVEN_UP and freed)
    row.state = State.PENDING if goes_on else item.state
    _bind(tables, row, item)
    row.failure_count, row.try_count = item.failure_count, item.try_count
    row.lane = min(row.lane, item.lane) if row.state is State.PENDING else item.lane
    row.due_time = now + dt.timedelta(seconds=item.after_s)
    row.wait_since = (row.wait_since or now) if item.waits else None
    row.lacks_reference = item.lacks_reference
    row.last_error_class, row.last_error = item.error_class, item.error_message[:512]
    row.last_trace = item.trace if item.state is not State.DELIVERED else None
    if item.error_class:
        row.doubt, row.fail_time = item.outcome == "in_doubt", now
    elif item.claimed.erred:
        row.doubt, row.fail_time = False, None


def _bind(tables: Tables, row: DeliveryRow, item: Settlement) -> None:
    """Take over which record it is and what that holds; what the try has left as it was may have moved meanwhile."""
    claimed = item.claimed
    as_stored = not told(claimed)
    held = (row.crm_object, row.crm_id)
    if not (as_stored and item.crm_object == claimed.crm_object):
        row.crm_object = item.crm_object
    if not (as_stored and item.crm_id == claimed.crm_id):
        row.crm_id = item.crm_id
    if not (as_stored and item.known is claimed.known):
        row.known = dict(item.known)
    if held[1] and held[1] != row.crm_id and item.outcome != "created":
        tables.former[(row.tenant_id, row.connector, *held)] = FormerRecord(row.entity_id, tables.now())


def _tell(tables: Tables, key: AccountKey, fence: int, item: Settlement) -> None:
    claimed = item.claimed
    if item.outcome:
        number = item.try_count or claimed.tries_before + 1
        tables.attempts.append(
            AttemptRow(
                *key,
                claimed.entity_id,
                number,
                item.version,
                item.outcome,
                item.error_class,
                fence,
                item.state,
            )
        )
    for action, changes in _audited(item):
        tables.audit.append(
            AuditRow(
                key[0],
                action,
                "sync",
                claimed.entity_id,
                claimed.event_key,
                key[1],
                tuple(changes),
                tables.now(),
            )
        )


def _audited(item: Settlement) -> Iterable[tuple[str, Sequence[Mapping[str, Any]]]]:
    if verdict := told(item.claimed):
        yield "sent_again" if item.claimed.verdict == "repeated" else "looked_up", verdict
    if item.changes:
        yield "dead_lettered" if item.state is State.DEAD else "delivered", item.changes


def _wake_referrers(tables: Tables, key: AccountKey, fresh: Sequence[uuid.UUID]) -> None:
    now, account = tables.now(), tables.account(key)
    waiting = {
        entity
        for target in fresh
        for entity in tables.referrers.get((key[0], target), ())
        if entity in account
    }
    for entity_id in sorted(waiting):
        row = account[entity_id]
        row.reference_came = row.reference_came or row.is_due
        if row.lacks_reference and row.state is State.DELIVERED:
            row.state, row.due_time, row.lane = State.PENDING, now, Lane.LIVE
        elif row.wait_since is not None and row.state is State.PENDING:
            row.due_time = now


def _refuse_impossible(tables: Tables, key: AccountKey, items: Sequence[Settlement]) -> None:
    """The unique index over CRM records, and texts that Postgres cannot hold."""
    own = {item.claimed.entity_id: (item.crm_object, item.crm_id) for item in items if item.crm_id}
    settled = {item.claimed.entity_id for item in items}
    places = list(own.values())
    held = {
        (row.crm_object, row.crm_id)
        for row in tables.account(key).values()
        if row.crm_id and row.entity_id not in settled
    }
    if len(places) != len(set(places)) or held.intersection(places):
        raise StoreRefused("UniqueViolationError: delivery_by_crm_record")
    for item in items:
        if "\0" in item.error_message or any("\0" in str(value) for value in item.known.values()):
            raise StoreRefused("UntranslatableCharacterError: \\u0000 cannot be converted to text")
