"""An event of the log, from a row of what ingest publishes."""

from __future__ import annotations

from typing import Any

from headwater.kernel.telemetry import TraceContext
from headwater.sync.domain.log import LogEvent, Position


def logged_event(row: Any) -> LogEvent:
    """Return the event of a row."""
    trace = TraceContext.parse(row["traceparent"], row["tracestate"] or "") if row["traceparent"] else None
    return LogEvent(
        tenant_id=row["tenant_id"],
        event_key=row["event_key"],
        source=row["source"],
        object=row["object"],
        external_id=row["external_id"],
        event_time=row["event_time"],
        record_time=row["record_time"],
        operation=row["operation"],
        actor_id=row["actor_id"] or "",
        payload=row["payload"] or b"",
        trace=trace,
        shard=row["shard"],
        position=Position(row["xid"], row["seq"]),
    )
