"""From the use cases' answers to responses. Pure."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
from google.protobuf import timestamp_pb2

from headwater.kernel.rpc.checks import write_page_token
from headwater.sync.domain.delivering import HOLDS
from headwater.sync.domain.operating import (
    AccountView,
    Attempt,
    AuditEntry,
    Delivery,
    Entity,
    Fate,
    Status,
)
from headwater.sync.rpc.requests import AUDIT, DELIVERIES
from headwater.sync.v1 import sync_pb2 as pb


def status_response(status: Status) -> pb.GetStatusResponse:
    """Write the counts of a tenant."""
    return pb.GetStatusResponse(
        events_projected=status.events_projected,
        events_poisoned=status.events_poisoned,
        events_parked=status.events_parked,
        parked_reason=status.parked_reason,
        events_waiting=status.events_waiting,
        superseded=[pb.RuleCount(rule=rule, count=count) for rule, count in status.superseded.items()],
        entities=_object_counts(status.entities),
        records=_object_counts(status.records),
        deliveries=[
            pb.DeliveryCount(connector=connector, object=name, state=_state(state), count=count)
            for (connector, name, state), count in status.deliveries.items()
        ],
        latencies=[
            pb.LatencySummary(connector=one.connector, count=one.count, p50_ms=one.p50_ms, p95_ms=one.p95_ms)
            for one in status.latencies
        ],
    )


def _object_counts(counts: Mapping[str, int]) -> list[pb.ObjectCount]:
    return [pb.ObjectCount(object=name, count=count) for name, count in counts.items()]


def fate_message(fate: Fate) -> pb.EventFate:
    """Write what became of an event."""
    return pb.EventFate(
        event_key=str(fate.event_key),
        projection=fate.rule,
        project_time=moment_message(fate.project_time),
        entity_ids=[str(one) for one in fate.entity_ids],
        trace_id=fate.trace_id,
        deliveries=[delivery_message(one) for one in fate.deliveries],
        attempts=[_attempt(one) for one in fate.attempts],
        audit=[audit_message(one) for one in fate.audit],
    )


def delivery_message(delivery: Delivery) -> pb.Delivery:
    """Write a delivery."""
    retrying = delivery.state == pb.DELIVERY_STATE_RETRYING
    return pb.Delivery(
        connector=delivery.connector,
        object=delivery.object,
        entity_id=str(delivery.entity_id),
        state=_state(delivery.state),
        desired_version=delivery.desired_version,
        delivered_version=delivery.delivered_version,
        crm_id=delivery.crm_id,
        failure_count=delivery.failure_count,
        next_attempt_time=moment_message(delivery.due_time) if retrying else None,
        last_error=_reason(delivery),
        event_key=str(delivery.event_key),
        settle_time=moment_message(delivery.settle_time),
    )


def _reason(delivery: Delivery) -> str:
    """Return what the last try failed of, or by what the policy keeps something from being written."""
    if delivery.last_error_class:
        return f"{delivery.last_error_class}: {delivery.last_error}"
    return delivery.last_error if delivery.last_error.startswith(HOLDS) else ""


def _attempt(attempt: Attempt) -> pb.Attempt:
    return pb.Attempt(
        connector=attempt.connector,
        object=attempt.object,
        entity_id=str(attempt.entity_id),
        attempt_number=attempt.attempt_number,
        start_time=moment_message(attempt.start_time),
        end_time=moment_message(attempt.end_time),
        outcome=attempt.outcome,
        error_class=attempt.error_class,
        error_code=attempt.error_code,
        error_message=attempt.error_message,
        trace_id=attempt.trace_id,
        span_id=attempt.span_id,
        version=attempt.version,
    )


def audit_message(entry: AuditEntry) -> pb.AuditEntry:
    """Write an entry of the audit."""
    return pb.AuditEntry(
        audit_id=entry.audit_id,
        audit_time=moment_message(entry.audit_time),
        action=entry.action,
        actor=entry.actor,
        entity_id=_id(entry.entity_id),
        event_key=_id(entry.event_key),
        changes=[change_message(one) for one in entry.changes],
        connector=entry.connector,
        policy_version=entry.policy_version,
    )


def change_message(change: Mapping[str, Any]) -> pb.FieldChange:
    """Write a value before and after."""
    return pb.FieldChange(
        field=change["field"],
        before_json=_json(change["before"]),
        after_json=_json(change["after"]),
        rule=change["rule"],
    )


def entity_response(entity: Entity) -> pb.GetEntityStateResponse:
    """Write an entity."""
    return pb.GetEntityStateResponse(
        entity_id=str(entity.entity_id),
        object=entity.object,
        state=entity.state,
        version=entity.version,
        merged_into=_id(entity.merged_into),
        fields=[
            pb.FieldValue(
                field=name,
                value_json=_json(chosen.value),
                rule=chosen.rule,
                source=chosen.source,
                event_key=str(chosen.event_key),
                field_time=moment_message(chosen.field_time),
            )
            for name, chosen in sorted(entity.fields.items())
        ],
        deliveries=[delivery_message(one) for one in entity.deliveries],
    )


def connector_message(account: AccountView) -> pb.Connector:
    """Write a connector account."""
    facts, standing = account.facts, account.standing
    return pb.Connector(
        connector=facts.connector,
        vendor=account.vendor,
        paused=facts.paused,
        breaker_state=account.breaker_name,
        breaker_probe_time=moment_message(account.breaker_time),
        quota_used=standing.used,
        quota_limit=account.quota_limit,
        pending_count=facts.pending_count,
        dead_count=facts.dead_count,
        oldest_pending_s=facts.oldest_pending_s,
        holder=facts.holder,
        owner=account.owner,
        backup=account.backup,
        runbook=account.runbook,
        finding=account.finding,
        quota_alert=standing.alert_time is not None,
        quota_alert_time=moment_message(standing.alert_time),
        quota_forecast_time=moment_message(standing.forecast_time),
        refused_count=standing.refused,
        windows=[
            pb.LimitWindow(window=item.name, limit=item.limit, used=item.used, window_s=item.window_s)
            for item in standing.windows
        ],
        closed_by=account.opening.closed_by if account.opening else "",
        closed_until=moment_message(account.opening.until) if account.opening else None,
        breaker_forced=account.forced.mode if account.forced else "",
        breaker_forced_until=moment_message(account.forced.until) if account.forced else None,
        breaker_forced_reason=account.forced.reason if account.forced else "",
        breaker_forced_by=account.forced.actor if account.forced else "",
        breakers=[
            pb.EndpointBreaker(
                key=key,
                state=name,
                failure_count=state.failures,
                hold_s=state.hold_s,
                probe_time=moment_message(state.probe_time),
            )
            for key, name, state in account.breakers
        ],
    )


def deliveries_response(page: Sequence[Delivery], more: bool) -> pb.ListDeliveriesResponse:  # noqa: FBT001 - a page as the use case gives it
    """Write a page of deliveries."""
    token = write_page_token(DELIVERIES, (page[-1].connector, str(page[-1].entity_id))) if more else ""
    return pb.ListDeliveriesResponse(
        deliveries=[delivery_message(one) for one in page], next_page_token=token
    )


def audit_response(page: Sequence[AuditEntry], more: bool) -> pb.ListAuditResponse:  # noqa: FBT001 - a page as the use case gives it
    """Write a page of the audit."""
    token = write_page_token(AUDIT, (str(page[-1].xid), str(page[-1].audit_id))) if more else ""
    return pb.ListAuditResponse(entries=[audit_message(one) for one in page], next_page_token=token)


def _state(number: int) -> pb.DeliveryState.ValueType:
    """Return the wire's state: the store keeps the wire's numbers."""
    return cast("pb.DeliveryState.ValueType", number)


def moment_message(moment: dt.datetime | None) -> timestamp_pb2.Timestamp | None:
    """Write a moment; nothing where there is none."""
    if moment is None:
        return None
    written = timestamp_pb2.Timestamp()
    written.FromDatetime(moment)
    return written


def _id(value: uuid.UUID | None) -> str:
    return "" if value is None else str(value)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
