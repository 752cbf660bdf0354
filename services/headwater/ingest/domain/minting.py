"""From a well-formed arrival to the event that may enter the log: key, hashes, time, trace. Pure."""

from __future__ import annotations

import datetime as dt

from headwater.ingest.domain.envelope import WellFormed
from headwater.ingest.domain.event import EPOCH, NewEvent
from headwater.ingest.domain.keys import identify, stem_of
from headwater.kernel.errors import FieldViolation
from headwater.kernel.telemetry import TraceContext

_MICROSECOND = dt.timedelta(microseconds=1)


def mint(
    tenant_id: str,
    read: WellFormed,
    *,
    violations: tuple[FieldViolation, ...] = (),
    call: TraceContext | None = None,
    released_from: bytes | None = None,
    dedup_window_s: float | None = None,
) -> NewEvent:
    """Return the event with its key.

    Args:
        violations: of the contract; the event goes to quarantine when there are any.
        call: stored as its trace where it brings none.
        released_from: key of the quarantined event that it releases.
        dedup_window_s: how long its key blocks a re-send; None: for ever.
    """
    arrival, time_us, canonical = read.arrival, read.event_time_us, read.canonical
    stem = stem_of(tenant_id, arrival.source, arrival.object)
    key, content, record = identify(tenant_id, stem, arrival, time_us, arrival.operation, canonical)
    return NewEvent(
        tenant_id=tenant_id,
        event_key=key,
        content_hash=content,
        record_hash=record,
        source=arrival.source,
        object=arrival.object,
        external_id=arrival.external_id,
        source_version=arrival.source_version,
        event_time_us=time_us,
        operation=arrival.operation,
        payload=arrival.payload,
        actor=arrival.actor,
        request_id=arrival.request_id,
        trace=read.trace or call,
        violations=violations,
        released_from=released_from,
        dedup_window_s=dedup_window_s,
    )


def microseconds(moment: dt.datetime) -> int:
    """Return a moment as microseconds since 1970, exactly."""
    return (moment - EPOCH) // _MICROSECOND


def moment(time_us: int) -> dt.datetime:
    """Return microseconds since 1970 as an aware moment, exactly."""
    return EPOCH + dt.timedelta(microseconds=time_us)
