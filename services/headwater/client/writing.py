"""From Python values to an event of the wire contract. Pure, save that it reads the current span's context."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import msgspec

from headwater.event.v1 import event_pb2
from headwater.kernel.ids import POLICY_OBJECT, ObjectName
from headwater.kernel.telemetry.context import TraceContext, current

_encode = msgspec.json.Encoder(order="deterministic").encode


def event(
    source: str,
    object_name: ObjectName | str,
    external_id: str,
    payload: Mapping[str, Any] | None,
    *,
    event_time: dt.datetime,
    source_version: str = "",
    request_id: str = "",
    actor: event_pb2.Actor | None = None,
    trace: TraceContext | None = None,
) -> event_pb2.Event:
    """Return the event that says *payload* of one record; without a payload, that the record was deleted.

    Args:
        payload: the record's fields in the source's own words; JSON values, dates and moments allowed.
        event_time: aware.
        trace: the producer's context; by default that of the current span. `old_news()` says that it is told in bulk:
            live events go first.

    Raises:
        ValueError: *event_time* has no zone.
    """
    if event_time.tzinfo is None:
        raise ValueError("event_time needs a time zone")
    message = event_pb2.Event(
        source=source,
        object=object_name,
        external_id=external_id,
        source_version=source_version,
        operation=event_pb2.OPERATION_DELETE if payload is None else event_pb2.OPERATION_UPSERT,
        payload=b"" if payload is None else _encode(payload),
        request_id=request_id,
        actor=actor,
    )
    message.event_time.FromDatetime(event_time)
    context = trace or current()
    if context is not None:
        message.trace.traceparent = context.traceparent
        message.trace.tracestate = context.tracestate
    return message


def policy_event(
    tenant_id: str,
    text: str,
    digest: str,
    *,
    event_time: dt.datetime,
    request_id: str,
    actor: event_pb2.Actor,
) -> event_pb2.Event:
    """Return the event by which a tenant's policy comes into force."""
    document = {"document": text, "digest": digest}
    return event(
        "headwater",
        POLICY_OBJECT,
        tenant_id,
        document,
        event_time=event_time,
        request_id=request_id,
        actor=actor,
    )
