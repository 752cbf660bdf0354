"""How a turn looks on the wire to Postgres: tries as columns of `sync.settlements`, claims from `sync.claimed`. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, Final

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
_ALIKE: Final = frozenset({1, 2, 3, 4, 14, 15, 17, 29, 31})
"""Those of which one value may stand for all."""
_LENGTHS: Final = [1 if number in _ALIKE else None for number in range(_COLUMNS)]
_NONE_SETTLED: Final[tuple[Sequence[Any], ...]] = ((),) * _COLUMNS


def settlement_columns(settlements: Sequence[Settlement]) -> tuple[Sequence[Any], ...]:
    """Return *settlements*, in order of entities, as `sync.settlements`; a column that has nothing is left empty.

    The projector locks in the same order.
    """
    rows = sorted(map(_settlement_row, settlements), key=itemgetter(0))
    if not rows:
        return _NONE_SETTLED
    count = len(rows)
    return tuple(
        [
            column if column.count(column[0]) < count else () if column[0] is None else column[:length]
            for column, length in zip(zip(*rows, strict=True), _LENGTHS, strict=False)
        ]
    )


def _settlement_row(item: Settlement) -> tuple[Any, ...]:
    """Return *item* as a row of `sync.settlements`; what is as usual is None."""
    claimed, trace = item.claimed, item.trace
    delivered = item.state is State.DELIVERED
    verdict = told(claimed)
    as_stored = not verdict  # a look-up puts what it found in the place of what is stored
    return (
        claimed.entity_id,
        claimed.object,
        item.state,
        item.lane,
        item.version,
        None if as_stored and item.crm_object == claimed.crm_object else item.crm_object,
        None if as_stored and item.crm_id == claimed.crm_id else item.crm_id,
        None if as_stored and item.known is claimed.known else _json(item.known),
        item.failure_count or None,
        item.try_count or None,
        item.after_s or None,
        item.waits or None,
        item.lacks_reference or None,
        (delivered and _is_fresh(item)) or None,
        item.outcome,
        item.try_count or claimed.tries_before + 1,
        claimed.event_key,
        item.start_time,
        claimed.dirty_time if delivered and not claimed.tries_before and item.outcome in _NEW else None,
        trace.trace_id if trace else None,
        trace.span_id if trace else None,
        trace.traceparent if trace and not delivered else None,
        item.error_class or None,
        item.error_code[:CODE_CHARS_MAX] or None,
        item.error_message[:ERROR_CHARS_MAX] or None,
        item.http_status or None,
        _json(verdict) if verdict else None,
        "dead_lettered" if item.state is State.DEAD else None,
        _json(item.changes) if item.changes else None,
        item.policy_version,
        claimed.verdict or None,
        (delivered and bool(item.changes) and not verdict and item.outcome in _AUDITED) or None,
    )


def _json(value: Any) -> str:
    return _encode(value).decode()


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
