"""How a turn looks on the wire to Postgres: settlements as rows of `sync.settlement`, claims from `sync.claimed`. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from headwater.kernel.ids import ObjectName
from headwater.kernel.telemetry import TraceContext
from headwater.sync.domain.breaker import from_json
from headwater.sync.domain.delivering import Claimed, ReferenceState
from headwater.sync.domain.doubting import told
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.settling import ConnectorState, Settlement, State
from headwater.sync.domain.turns import Turn

ERROR_CHARS_MAX: Final = 512
CODE_CHARS_MAX: Final = 128
_NEW: Final = frozenset({"created", "updated"})


class _Value(msgspec.Struct, array_like=True, gc=False):
    """A value of `sync.entity.fields`; its provenance, behind it, is skipped unread."""

    value: Any


_read_fields: Final = msgspec.json.Decoder(dict[str, _Value]).decode
_LANES: Final = {int(lane): lane for lane in Lane}


def settlement_row(item: Settlement) -> tuple[Any, ...]:
    """Return *item* as the columns of `sync.settlement`."""
    claimed = item.claimed
    delivered = item.state is State.DELIVERED
    first = delivered and claimed.tries_before == 0 and item.outcome in _NEW
    changes = list(item.changes) or None
    verdict = told(claimed)
    return (
        claimed.entity_id,
        item.state,
        item.lane,
        item.version,
        item.crm_object,
        item.crm_id,
        None if item.known is claimed.known and not claimed.learned else item.known,
        item.failure_count,
        item.try_count,
        item.after_s,
        item.waits,
        item.lacks_reference,
        delivered and _is_fresh(item),
        item.outcome,
        item.try_count or claimed.tries_before + 1,
        claimed.event_key,
        item.start_time,
        claimed.dirty_time if first else None,
        item.trace.traceparent if item.trace else "",
        item.error_class,
        item.error_code[:CODE_CHARS_MAX],
        item.error_message[:ERROR_CHARS_MAX],
        item.http_status,
        list(verdict) or None,
        "dead_lettered" if item.state is State.DEAD else "delivered",
        changes,
        item.policy_version,
        claimed.verdict,
    )


def _is_fresh(item: Settlement) -> bool:
    """Say whether the CRM may hold the record since this try; saying so once too often only costs a look."""
    claimed = item.claimed
    unseen = not claimed.crm_id or claimed.delivered_version == 0 or claimed.in_doubt or item.created
    return bool(item.crm_id) and unseen


def read_turn(tenant_id: str, connector: str, rows: Sequence[Any]) -> Turn:
    """Return the rows of a turn as it; the head comes first."""
    head = rows[0]["head"]
    waiting = frozenset(head["waiting"])
    return Turn(
        claimed=tuple([_claimed(tenant_id, connector, row) for row in rows[1:]]),
        state=_connector_state(head["account"]),
        next_due_s=head["next_due_s"],
        waiting={lane: int(lane) in waiting for lane in Lane},
    )


def _connector_state(account: Mapping[str, Any] | None) -> ConnectorState:
    """Return a row of `sync.connector_state` in the domain's words; None: nothing is stored yet."""
    if account is None:
        return ConnectorState()
    return ConnectorState(account["paused"], from_json(account["breaker"]), account["breaker_generation"])


def _claimed(tenant_id: str, connector: str, row: Any) -> Claimed:
    (
        _, entity_id, lane, due_time, object_name, delivery_state, delivered_version, crm_object, crm_id, known,
        failure_count, try_count, waited_s, event_key, mark_time, dirty_time, traceparent, tracestate,
        last_traceparent, state, merged_into, version, fields, refs, erred,
    ) = row  # fmt: skip
    return Claimed(
        tenant_id=tenant_id,
        connector=connector,
        entity_id=entity_id,
        object=cast("ObjectName", object_name),
        state=state,
        merged_into=merged_into,
        version=version,
        values={name: item.value for name, item in _read_fields(fields).items()},
        crm_object=crm_object,
        crm_id=crm_id,
        known=known,
        failure_count=failure_count,
        in_doubt=delivery_state == State.IN_DOUBT or (state != "active" and not crm_id),
        waited_s=waited_s,
        event_key=event_key,
        mark_time=mark_time,
        dirty_time=dirty_time,
        trace=TraceContext.parse(traceparent, tracestate) if traceparent else None,
        last_trace=TraceContext.parse(last_traceparent, "") if last_traceparent else None,
        tries_before=try_count,
        lane=_LANES[lane],
        due_time=due_time,
        delivered_version=delivered_version,
        references=tuple([_reference(*item) for item in refs]) if refs else (),
        erred=erred,
    )


def _reference(field: str, entity_id: str, crm_id: str, coming: bool) -> ReferenceState:  # noqa: FBT001 - a row
    return ReferenceState(field, uuid.UUID(entity_id), crm_id, coming)
