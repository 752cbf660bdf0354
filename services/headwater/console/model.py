"""The values of the span store: spans, links, traces as they are read back.

Pure data with their JSON form; shared by the store, the web API, its client and the renderers. Must not import
protobuf, SQLite or a web framework.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
"""Span kinds by their OTLP number."""

STATUSES = ("UNSET", "OK", "ERROR")
"""Status codes by their OTLP number."""

AttributeMap = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SpanLink:
    """A span's link to a span, mostly of another trace."""

    trace_id: str
    span_id: str
    attributes: AttributeMap = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened within a span."""

    time_ns: int
    name: str
    attributes: AttributeMap = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """One span as it was exported; ids in hex, times in Unix nanoseconds."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    service: str
    name: str
    kind: str
    status: str
    start_ns: int
    end_ns: int
    status_message: str = ""
    attributes: AttributeMap = field(default_factory=dict)
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()


@dataclass(frozen=True, slots=True)
class IncomingLink:
    """A span of another trace that links to a span of this one."""

    trace_id: str
    span_id: str
    linked_span_id: str
    service: str
    name: str


@dataclass(frozen=True, slots=True)
class Trace:
    """All spans of a trace, and who links to it."""

    trace_id: str
    spans: tuple[StoredSpan, ...]
    incoming: tuple[IncomingLink, ...] = ()
    spans_left_out: int = 0
    """Spans beyond the bound of one answer."""


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """A trace on one line."""

    trace_id: str
    name: str
    """Of its first root, or of its first span."""
    services: tuple[str, ...]
    span_count: int
    error_count: int
    start_ns: int
    duration_ns: int


@dataclass(frozen=True, slots=True)
class RelatedTrace:
    """A trace that links lead to, from the one asked about."""

    summary: TraceSummary
    distance: int
    """Links away: 1 for a neighbour."""
    via_trace_id: str
    """The trace it was reached from."""
    direction: Literal["links_to", "linked_from"]
    """Seen from `via_trace_id`."""


@dataclass(frozen=True, slots=True)
class StoreStats:
    """What the store holds and has let go."""

    traces: int
    spans: int
    links: int
    used_bytes: int
    traces_dropped: int
    spans_dropped: int


def summarise(trace_id: str, spans: tuple[StoredSpan, ...], span_count: int) -> TraceSummary:
    """Put a trace on one line; `spans` is not empty."""
    known = {span.span_id for span in spans}
    first = next((span for span in spans if span.parent_span_id not in known), spans[0])
    start_ns = min(span.start_ns for span in spans)
    return TraceSummary(
        trace_id=trace_id,
        name=first.name,
        services=tuple(dict.fromkeys(span.service for span in spans)),
        span_count=span_count,
        error_count=sum(span.status == "ERROR" for span in spans),
        start_ns=start_ns,
        duration_ns=max(span.end_ns for span in spans) - start_ns,
    )
