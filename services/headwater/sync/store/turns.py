"""How a turn looks on the wire to Postgres: tries as columns of `sync.settlements`, claims from `sync.claimed`. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Any, Final, TypeAlias

import msgspec

from headwater.kernel.telemetry import TraceContext
from headwater.sync.domain.breaker import from_json
from headwater.sync.domain.delivering import Claimed, ReferenceState
from headwater.sync.domain.doubting import told
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.settling import ConnectorState, Settlement, State
from headwater.sync.domain.turns import Turn
from headwater.sync.store.line import Place

ERROR_CHARS_MAX: Final = 512
CODE_CHARS_MAX: Final = 128
_AUDITED: Final = frozenset({"created", "updated", "unchanged", "looked_up"})
"""Outcomes that an entry of the audit may tell."""
_NEW: Final = frozenset({"created", "updated"})
_DELIVERED: Final = State.DELIVERED
_Try: TypeAlias = tuple[Settlement, Claimed, tuple[Mapping[str, Any], ...]]
"""How one ended, what was claimed, and what the audit is told of a doubt."""


class _Value(msgspec.Struct, array_like=True, gc=False):
    """A value of `sync.entity.fields`; its provenance, behind it, is skipped unread."""

    value: Any


_encode: Final = msgspec.json.Encoder().encode
_read_fields: Final = msgspec.json.Decoder(dict[str, _Value]).decode
_read_known: Final = msgspec.json.Decoder(dict[str, Any]).decode
_LANES: Final = {int(lane): lane for lane in Lane}
_ENTITY, _LANE, _DUE_TIME = 1, 2, 3
"""Columns of `sync.claimed`."""
_COLUMNS: Final = 32
"""Columns of `sync.settlements`."""
_NONE_SETTLED: Final[tuple[Sequence[Any], ...]] = ((),) * _COLUMNS
_entity_of: Final = attrgetter("claimed.entity_id")


def settlement_columns(settlements: Sequence[Settlement]) -> tuple[Sequence[Any], ...]:
    """Return *settlements*, in order of entities, as `sync.settlements`; a column that has nothing is left empty.

    The projector locks in the same order. Made column by column: no row is built only to be taken apart again.
    """
    items = sorted(settlements, key=_entity_of)
    if not items:
        return _NONE_SETTLED
    tries = [(item, item.claimed, told(item.claimed)) for item in items]
    return (*_standing_columns(tries), *_attempt_columns(tries), *_told_columns(tries))


def _standing_columns(tries: Sequence[_Try]) -> tuple[Sequence[Any], ...]:
    """Return how deliveries stand now: `entity_id` to `fresh`.

    Where a verdict is told, a look-up has put what it found in the place of what is stored.
    """
    return (
        [was.entity_id for _, was, _ in tries],
        _alike([was.object for _, was, _ in tries]),
        _alike([one.state for one, _, _ in tries]),
        _alike([one.lane for one, _, _ in tries]),
        _alike([one.version for one, _, _ in tries]),
        _sparse(
            [
                None if not told_of and one.crm_object == was.crm_object else one.crm_object
                for one, was, told_of in tries
            ]
        ),
        _sparse(
            [None if not told_of and one.crm_id == was.crm_id else one.crm_id for one, was, told_of in tries]
        ),
        _sparse(
            [
                None if not told_of and one.known is was.known else _json(one.known)
                for one, was, told_of in tries
            ]
        ),
        _sparse([one.failure_count or None for one, _, _ in tries]),
        _sparse([one.try_count or None for one, _, _ in tries]),
        _sparse([one.after_s or None for one, _, _ in tries]),
        _sparse([one.waits or None for one, _, _ in tries]),
        _sparse([one.lacks_reference or None for one, _, _ in tries]),
        _sparse([(one.state is _DELIVERED and _is_fresh(one)) or None for one, _, _ in tries]),
    )


def _attempt_columns(tries: Sequence[_Try]) -> tuple[Sequence[Any], ...]:
    """Return how tries went: `outcome` to `http_status`."""
    traces = [(one, one.trace) for one, _, _ in tries]
    return (
        _alike([one.outcome for one, _, _ in tries]),
        _alike([one.try_count or was.tries_before + 1 for one, was, _ in tries]),
        [was.event_key for _, was, _ in tries],
        _alike([one.start_time for one, _, _ in tries]),
        _sparse([was.dirty_time if _is_first(one) else None for one, was, _ in tries]),
        _sparse([trace.trace_id if trace else None for _, trace in traces]),
        _sparse([trace.span_id if trace else None for _, trace in traces]),
        _sparse(
            [trace.traceparent if trace and one.state is not _DELIVERED else None for one, trace in traces]
        ),
        _sparse([one.error_class or None for one, _, _ in tries]),
        _sparse([one.error_code[:CODE_CHARS_MAX] or None for one, _, _ in tries]),
        _sparse([one.error_message[:ERROR_CHARS_MAX] or None for one, _, _ in tries]),
        _sparse([one.http_status or None for one, _, _ in tries]),
    )


def _told_columns(tries: Sequence[_Try]) -> tuple[Sequence[Any], ...]:
    """Return what the audit is told: `learned` to `audited`."""
    return (
        _sparse([_json(told_of) if told_of else None for _, _, told_of in tries]),
        _sparse(["dead_lettered" if one.state is State.DEAD else None for one, _, _ in tries]),
        _sparse([_json(one.changes) if one.changes else None for one, _, _ in tries]),
        _alike([one.policy_version for one, _, _ in tries]),
        _sparse([was.verdict or None for _, was, _ in tries]),
        _alike([True if not told_of and _is_audited(one) else None for one, _, told_of in tries]),
    )


def _alike(column: list[Any]) -> Sequence[Any]:
    """Return a column of which one value may stand for all."""
    first = column[0]
    if column.count(first) < len(column):
        return column
    return () if first is None else (first,)


def _sparse(column: list[Any]) -> Sequence[Any]:
    """Return a column that is null where all is as usual."""
    return () if column.count(None) == len(column) else column


def _json(value: Any) -> str:
    return _encode(value).decode()


def _is_first(item: Settlement) -> bool:
    """Say whether a first try wrote something: its latency counts."""
    return item.state is _DELIVERED and not item.claimed.tries_before and item.outcome in _NEW


def _is_audited(item: Settlement) -> bool:
    """Say whether the entry of the audit is the record of the try too."""
    return item.state is _DELIVERED and bool(item.changes) and item.outcome in _AUDITED


def _is_fresh(item: Settlement) -> bool:
    """Say whether the CRM may hold the record since this try; saying so once too often only costs a look."""
    claimed = item.claimed
    unseen = not claimed.crm_id or claimed.delivered_version == 0 or claimed.in_doubt or item.created
    return bool(item.crm_id) and unseen


def queue_places(rows: Sequence[Any]) -> dict[Lane, Place]:
    """Return the last place in the queue, lane by lane, among the claimed rows of a turn."""
    places: dict[Lane, Place] = {}
    for row in islice(rows, 1, None):
        lane, place = _LANES[row[_LANE]], (row[_DUE_TIME], row[_ENTITY])
        if lane not in places or places[lane] < place:
            places[lane] = place
    return places


def read_turn(tenant_id: str, connector: str, rows: Sequence[Any]) -> Turn:
    """Return the rows of a turn as it, by lane and place in the queue; the head comes first."""
    head = rows[0]["head"]
    waiting = frozenset(head["waiting"])
    return Turn(
        claimed=tuple([_claimed(tenant_id, connector, row) for row in _in_line(rows[1:])]),
        state=_connector_state(head["account"]),
        next_due_s=head["next_due_s"],
        waiting={lane: int(lane) in waiting for lane in Lane},
        look_time=rows[0]["due_time"],
    )


def _in_line(rows: Sequence[Any]) -> Sequence[Any]:
    """Return claimed rows by lane and due time."""
    return sorted(sorted(rows, key=itemgetter(_DUE_TIME)), key=itemgetter(_LANE))


def _connector_state(account: Mapping[str, Any] | None) -> ConnectorState:
    """Return a row of `sync.connector_state` in the domain's words; None: nothing is stored yet."""
    if account is None:
        return ConnectorState()
    return ConnectorState(account["paused"], from_json(account["breaker"]), account["breaker_generation"])


def _claimed(tenant_id: str, connector: str, row: Any) -> Claimed:
    (
        _, entity_id, lane, due_time, object_name, in_doubt, delivered_version, crm_object, crm_id, known,
        failure_count, try_count, waited_s, event_key, mark_time, dirty_time, traceparent, tracestate,
        last_traceparent, state, merged_into, version, fields, refs, erred,
    ) = row  # fmt: skip
    return Claimed(
        tenant_id,
        connector,
        entity_id,
        object_name,
        state or "active",
        merged_into,
        version,
        {name: item.value for name, item in _read_fields(fields).items()},
        crm_object,
        crm_id,
        _read_known(known),
        failure_count or 0,
        bool(in_doubt or (state and not crm_id)),
        waited_s or 0.0,
        event_key,
        mark_time,
        dirty_time,
        TraceContext(traceparent, tracestate or "") if traceparent else None,  # checked when it was stored
        TraceContext(last_traceparent) if last_traceparent else None,
        try_count or 0,
        _LANES[lane],
        due_time,
        delivered_version,
        tuple([_reference(*item) for item in refs]) if refs else (),
        erred=bool(erred),
    )


def _reference(field: str, entity_id: str, crm_id: str, coming: bool) -> ReferenceState:  # noqa: FBT001 - a row
    return ReferenceState(field, uuid.UUID(entity_id), crm_id, coming)
