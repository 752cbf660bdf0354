"""From values to rows and back: the only place that knows the columns' order."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

import asyncpg
import msgspec

from headwater.ingest.domain.event import (
    Actor,
    Disposition,
    NewEvent,
    QuarantinedEvent,
    QuarantineState,
    RecordedEvent,
)
from headwater.ingest.domain.keys import shard_of
from headwater.ingest.domain.minting import microseconds, moment
from headwater.kernel.errors import FieldViolation
from headwater.kernel.telemetry import TraceContext

EVENT_COLUMNS: Final = (
    "tenant_id",
    "event_key",
    "record_hash",
    "shard",
    "disposition",
    "operation",
    "actor_type",
    "source",
    "object",
    "external_id",
    "source_version",
    "event_time",
    "actor_id",
    "actor_name",
    "request_id",
    "content_hash",
    "payload",
    "traceparent",
    "tracestate",
    "released_from",
)
"""Columns that a writer gives; position and record time are the database's."""


def event_row(event: NewEvent) -> tuple[Any, ...]:
    """Return the row of *event*, in the order of `EVENT_COLUMNS`."""
    trace = event.trace
    actor = event.actor
    return (
        event.tenant_id,
        uuid.UUID(bytes=event.event_key),
        event.record_hash,
        shard_of(event.record_hash),
        3 if event.violations else 1,
        event.operation,
        actor.kind,
        event.source,
        event.object,
        event.external_id,
        event.source_version,
        moment(event.event_time_us),
        actor.actor_id,
        actor.name,
        event.request_id,
        event.content_hash,
        event.payload,
        trace.traceparent if trace else "",
        trace.tracestate if trace else "",
        uuid.UUID(bytes=event.released_from) if event.released_from else None,
    )


def count_columns(events: Iterable[NewEvent]) -> tuple[list[Any], ...]:
    """Return the arguments of `add_counts` for events inserted."""
    counts = Counter((item.tenant_id, item.source, item.object, int(item.disposition)) for item in events)
    rows = [(*group, count) for group, count in sorted(counts.items())]
    return columns(rows)


def quarantine_columns(events: Iterable[NewEvent]) -> tuple[list[Any], ...]:
    """Return the arguments of `open_quarantine`."""
    return columns(
        [
            (item.tenant_id, uuid.UUID(bytes=item.event_key), violations_json(item.violations))
            for item in events
        ]
    )


def columns(rows: Sequence[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    """Turn rows, at least one, into one list a column."""
    return tuple(list(column) for column in zip(*rows, strict=True))


def violations_json(violations: Iterable[FieldViolation]) -> str:
    """Return violations as JSON that jsonb takes: it knows no NUL character."""
    cleaned = [
        {name: text.replace("\0", "\ufffd") for name, text in asdict(item).items()} for item in violations
    ]
    return msgspec.json.encode(cleaned).decode()


def recorded_event(row: asyncpg.Record) -> RecordedEvent:
    """Return the event of a row of the log."""
    event = NewEvent(
        tenant_id=row["tenant_id"],
        event_key=row["event_key"].bytes,
        content_hash=row["content_hash"],
        record_hash=row["record_hash"],
        source=row["source"],
        object=row["object"],
        external_id=row["external_id"],
        source_version=row["source_version"],
        event_time_us=microseconds(row["event_time"]),
        operation=row["operation"],
        payload=row["payload"],
        actor=Actor(row["actor_type"], row["actor_id"], row["actor_name"]),
        request_id=row["request_id"],
        trace=TraceContext.parse(row["traceparent"], row["tracestate"]),
        released_from=row["released_from"].bytes if row["released_from"] else None,
    )
    return RecordedEvent(event, row["record_time"], Disposition(row["disposition"]), row["xid"], row["seq"])


def quarantined_event(row: asyncpg.Record) -> QuarantinedEvent:
    """Return the entry of a row of the quarantine joined with its event."""
    return QuarantinedEvent(
        recorded=recorded_event(row),
        violations=tuple(FieldViolation(**item) for item in row["violations"]),
        state=QuarantineState(row["state"]),
        open_time=row["open_time"],
        released_as=row["released_as"],
        discard_reason=row["discard_reason"],
    )
