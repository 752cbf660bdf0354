"""Between the wire's messages and the domain's words. Pure; nothing is checked here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from headwater.event.v1 import event_pb2
from headwater.ingest.domain.event import (
    NOBODY,
    Actor,
    Arrival,
    Disposition,
    EventCount,
    Outcome,
    QuarantinedEvent,
    QuarantineGroup,
    RecordedEvent,
)
from headwater.ingest.domain.keys import key_text
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.errors import FieldViolation

ACTORS_KEPT: Final = 1024
"""Actors at hand; the sources of a tenant are few, and people work for hours."""
ACTOR_CHARS_KEPT: Final = 256
"""Longer ones are not kept, which bounds the memory of those that are."""

_kept_actor = lru_cache(ACTORS_KEPT)(Actor)


def read_arrival(message: event_pb2.Event) -> Arrival:
    """Return the event of a message.

    Each read of a message's attribute costs as much as a dict look-up or two, so nothing is read that is not
    there, and presence is asked for only where the value leaves it open.
    """
    stamp = message.event_time
    time_us: int | None = stamp.seconds * 1_000_000 + stamp.nanos // 1000
    if not time_us and not message.HasField("event_time"):
        time_us = None
    trace = message.trace
    return Arrival(  # by position, in the order of its fields: half the price of names
        message.source,
        message.object,
        message.external_id,
        message.source_version,
        time_us,
        message.operation,
        message.payload,
        read_actor(message.actor),
        message.request_id,
        trace.traceparent,
        trace.tracestate,
    )


def read_actor(message: event_pb2.Actor) -> Actor:
    """Return the actor of a message; the same value for the same actor, where it is a usual one."""
    actor_id, name = message.id, message.display_name
    if not (actor_id or name or message.type):
        return NOBODY
    if len(actor_id) + len(name) > ACTOR_CHARS_KEPT:
        return Actor(message.type, actor_id, name)
    return _kept_actor(message.type, actor_id, name)


def write_outcome(outcome: Outcome) -> ingest_pb2.EventOutcome:
    """Return the message of an outcome."""
    return ingest_pb2.EventOutcome(
        disposition=_disposition(outcome.disposition),
        event_key=key_text(outcome.event_key) if outcome.event_key else "",
        violations=_write_violations(outcome.violations) if outcome.violations else None,
        reason=outcome.reason,
    )


def write_recorded(recorded: RecordedEvent) -> ingest_pb2.RecordedEvent:
    """Return the message of an event of the log."""
    event = recorded.event
    message = event_pb2.Event(
        source=event.source,
        object=event.object,
        external_id=event.external_id,
        source_version=event.source_version,
        event_time=_write_time_us(event.event_time_us),
        operation=event_pb2.Operation.Name(event.operation),  # type: ignore[arg-type]
        payload=event.payload,
        request_id=event.request_id,
    )
    if event.actor != NOBODY:
        message.actor.type = event.actor.kind  # type: ignore[assignment]
        message.actor.id = event.actor.actor_id
        message.actor.display_name = event.actor.name
    if event.trace is not None:
        message.trace.traceparent = event.trace.traceparent
        message.trace.tracestate = event.trace.tracestate
    return ingest_pb2.RecordedEvent(
        event_key=key_text(event.event_key),
        tenant_id=event.tenant_id,
        event=message,
        record_time=_write_time(recorded.record_time),
        disposition=_disposition(recorded.disposition),
        position=ingest_pb2.LogPosition(xid=recorded.xid, seq=recorded.seq),
        released_from=key_text(event.released_from) if event.released_from else "",
    )


def write_quarantined(entry: QuarantinedEvent) -> ingest_pb2.QuarantinedEvent:
    """Return the message of an entry of the task list."""
    return ingest_pb2.QuarantinedEvent(
        event=write_recorded(entry.recorded),
        violations=_write_violations(entry.violations),
        state=int(entry.state),  # type: ignore[arg-type]
        released_as=str(entry.released_as) if entry.released_as else "",
        discard_reason=entry.discard_reason,
    )


def write_quarantine_group(group: QuarantineGroup) -> ingest_pb2.QuarantineGroup:
    """Return the message of a group of the task list."""
    return ingest_pb2.QuarantineGroup(
        rule=group.rule,
        field=group.field,
        source=group.source,
        object=group.object,
        event_count=group.event_count,
        first_seen_time=_write_time(group.first_time),
        last_seen_time=_write_time(group.last_time),
        sample_event_keys=[str(key) for key in group.sample_keys],
        description=group.description,
        owner=group.owner,
        backup=group.backup,
        runbook=group.runbook,
    )


def write_count(count: EventCount) -> ingest_pb2.EventCount:
    """Return the message of a count."""
    return ingest_pb2.EventCount(
        source=count.source,
        object=count.object,
        disposition=_disposition(count.disposition),
        count=count.count,
    )


def _disposition(disposition: Disposition) -> ingest_pb2.Disposition.ValueType:
    return int(disposition)  # type: ignore[return-value]


def _write_violations(violations: Iterable[FieldViolation]) -> list[event_pb2.Violation]:
    return [
        event_pb2.Violation(field=item.field, value=item.value, rule=item.rule, description=item.description)
        for item in violations
    ]


def _write_time(moment: dt.datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _write_time_us(time_us: int) -> Timestamp:
    seconds, micros = divmod(time_us, 1_000_000)
    return Timestamp(seconds=seconds, nanos=micros * 1000)
