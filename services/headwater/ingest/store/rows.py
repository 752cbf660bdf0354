"""From values to arguments and from rows to values: the only place that knows the columns' order."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import asyncpg
import msgspec

from headwater.ingest.domain.event import (
    Actor,
    Disposition,
    LedgerKey,
    NewEvent,
    QuarantinedEvent,
    QuarantineState,
    RecordedEvent,
)
from headwater.ingest.domain.flush import Known, Resend
from headwater.ingest.domain.minting import microseconds
from headwater.kernel.errors import FieldViolation
from headwater.kernel.ids import POLICY_OBJECT
from headwater.kernel.telemetry import TraceContext

Resends = Mapping[LedgerKey, Resend]


def uuid_array(keys: Iterable[bytes]) -> str:
    """Return keys of 16 bytes as the text of an array: ten times cheaper than the driver's encoding of one."""
    return "{" + b"".join(keys).hex(",", 16) + "}"


def append_arguments(events: Sequence[NewEvent], resends: Resends) -> tuple[Any, ...]:
    """Return the arguments of `append` for events, at least one, after the first."""
    return (
        uuid_array([event.event_key for event in events]),
        [int.from_bytes(event.content_hash, "big", signed=True) for event in events],
        _sparse_keys([event.released_from for event in events]),
        *columns([_append_row(event) for event in events]),
        *_generations(events, resends),
    )


def _append_row(event: NewEvent) -> tuple[Any, ...]:
    return (
        event.event_time_us,
        event.record_hash,
        3 if event.violations else 1,
        *_facts(event),
        violations_json(event.violations) if event.violations else None,
    )


def is_plain(events: Sequence[NewEvent]) -> bool:
    """Say whether `append_plain` may take the events: accepted ones that nothing else hangs on."""
    return not any(
        event.violations or event.released_from or event.object == POLICY_OBJECT for event in events
    )


def plain_arguments(events: Sequence[NewEvent]) -> tuple[Any, ...]:
    """Return the arguments of `append_plain` for plain events, at least one, after the first."""
    counts = Counter([(event.tenant_id, event.source, event.object) for event in events])
    return (
        uuid_array([event.event_key for event in events]),
        *columns([_plain_row(event) for event in events]),
        *columns([(*group, count) for group, count in sorted(counts.items())]),
    )


def _plain_row(event: NewEvent) -> tuple[Any, ...]:
    content = int.from_bytes(event.content_hash, "big", signed=True)
    return (content, event.event_time_us, event.record_hash, *_facts(event))


def _facts(event: NewEvent) -> tuple[Any, ...]:
    trace, actor = event.trace, event.actor
    return (
        event.operation,
        actor.kind,
        event.tenant_id,
        event.source,
        event.object,
        event.external_id,
        event.payload,
        event.source_version or None,
        event.request_id or None,
        actor.actor_id or None,
        actor.name or None,
        trace.to_bytes() if trace else None,
        (trace.tracestate or None) if trace else None,
    )


def _generations(events: Sequence[NewEvent], resends: Resends) -> tuple[str | None, list[int | None] | None]:
    if not resends:
        return None, None
    found = [resends.get(event.ledger_key) for event in events]
    return (
        _sparse_keys([item.base_key if item else None for item in found]),
        [item.generation if item else None for item in found],
    )


def _sparse_keys(keys: Sequence[bytes | None]) -> str | None:
    if not any(keys):
        return None
    return "{" + ",".join(key.hex() if key else "NULL" for key in keys) + "}"


def settle_arguments(events: Sequence[NewEvent], resends: Resends) -> tuple[Any, ...]:
    """Return the arguments of `settle` for events written, at least one, after the first."""
    return (
        *_counts(events),
        *_broken([event for event in events if event.violations]),
        *_resent(
            [(key, resends[key]) for event in events if (key := event.ledger_key) in resends]
            if resends
            else ()
        ),
        _policies([event.event_key for event in events if event.object == POLICY_OBJECT]),
    )


def _counts(events: Iterable[NewEvent]) -> tuple[list[Any], ...]:
    counts = Counter(
        [(item.tenant_id, item.source, item.object, 3 if item.violations else 1) for item in events]
    )
    return columns([(*group, count) for group, count in sorted(counts.items())])


def _broken(events: Sequence[NewEvent]) -> tuple[Any, Any, Any]:
    if not events:
        return None, None, None
    return (
        [event.tenant_id for event in events],
        uuid_array([event.event_key for event in events]),
        [violations_json(event.violations) for event in events],
    )


def _resent(items: Sequence[tuple[LedgerKey, Resend]]) -> tuple[Any, Any, Any, Any]:
    if not items:
        return None, None, None, None
    return (
        [tenant_id for (tenant_id, _), _ in items],
        uuid_array([resend.base_key for _, resend in items]),
        [resend.generation for _, resend in items],
        uuid_array([event_key for (_, event_key), _ in items]),
    )


def _policies(keys: Sequence[bytes]) -> str | None:
    return uuid_array(keys) if keys else None


def columns(rows: Sequence[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    """Turn rows, at least one, into one list a column."""
    return tuple(list(column) for column in zip(*rows, strict=True))


def ledger_of(rows: Iterable[asyncpg.Record]) -> dict[LedgerKey, Known]:
    """Return what the ledger answered, by key."""
    return {
        (tenant_id, key): Known(resent_as or key, content_hash, record_us, now_us, generation)
        for tenant_id, key, content_hash, record_us, now_us, resent_as, generation in rows
    }


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
        content_hash=row["content_hash"].to_bytes(8, "big", signed=True),
        record_hash=row["record_hash"],
        source=row["source"],
        object=row["object"],
        external_id=row["external_id"],
        source_version=row["source_version"] or "",
        event_time_us=microseconds(row["event_time"]),
        operation=row["operation"],
        payload=row["payload"],
        actor=Actor(row["actor_type"], row["actor_id"] or "", row["actor_name"] or ""),
        request_id=row["request_id"] or "",
        trace=TraceContext.from_bytes(row["trace"], row["tracestate"]),
        released_from=row["released_from"].bytes if row["released_from"] else None,
    )
    place = (row["xid"], row["seq"])
    return RecordedEvent(
        event, row["record_time"], Disposition(row["disposition"]), *place, record_day=row["record_day"]
    )


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


def as_uuid(key: bytes) -> uuid.UUID:
    """Return a key as the driver takes it."""
    return uuid.UUID(bytes=key)
