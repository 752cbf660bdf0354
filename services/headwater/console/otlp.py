"""OTLP in and out of the store: pure translation between messages, rows and values.

Reading an export takes out only what is searched and keeps the span's own bytes, so that ingest stays cheap;
the whole span is decoded when somebody looks at it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from headwater.console.model import KINDS, STATUSES, AttributeMap, SpanEvent, SpanLink, StoredSpan
from headwater.kernel.telemetry.names import EVENT_KEY

TRACE_ID_BYTES: Final = 16
SPAN_ID_BYTES: Final = 8
UNKNOWN_SERVICE: Final = "unknown_service"
"""What the SDK's specification calls a service that did not say its name."""

CHUNK_SPANS: Final = 256
"""Spans turned into rows at once, to hold an export's memory down."""

_INT64_MAX: Final = 2**63 - 1

SpanRow = tuple[bytes, bytes, int, str | None, bytes]
"""trace_id, span_id, start_ns, event_key, body."""
LinkRow = tuple[bytes, bytes, bytes, bytes]
"""trace_id, span_id, linked_trace_id, linked_span_id."""


@dataclass(frozen=True, slots=True)
class ResourceRows:
    """Some of what one resource exported."""

    service: str
    resource: bytes
    spans: list[SpanRow]
    links: list[LinkRow]
    rejected: int
    """Spans without proper ids."""


def rows_of(request: ExportTraceServiceRequest) -> Iterator[ResourceRows]:
    """Turn an export into rows, resource by resource, some hundred spans at a time."""
    for group in request.resource_spans:
        service = _text_attribute(group.resource.attributes, "service.name") or UNKNOWN_SERVICE
        resource = group.resource.SerializeToString(deterministic=True)
        spans = (span for scope in group.scope_spans for span in scope.spans)
        while some := list(islice(spans, CHUNK_SPANS)):
            proper = [span for span in some if _has_ids(span.trace_id, span.span_id)]
            yield ResourceRows(
                service=service,
                resource=resource,
                spans=[_span_row(span) for span in proper],
                links=[row for span in proper if span.links for row in _link_rows(span)],
                rejected=len(some) - len(proper),
            )


def span_from_body(service: str, body: bytes) -> StoredSpan:
    """Decode a stored span."""
    span = Span.FromString(body)
    return StoredSpan(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex() or None,
        service=service,
        name=span.name,
        kind=_of(KINDS, span.kind),
        status=_of(STATUSES, span.status.code),
        status_message=span.status.message,
        start_ns=span.start_time_unix_nano,
        end_ns=max(span.end_time_unix_nano, span.start_time_unix_nano),
        attributes=_attributes(span.attributes),
        events=tuple(SpanEvent(e.time_unix_nano, e.name, _attributes(e.attributes)) for e in span.events),
        links=tuple(
            SpanLink(k.trace_id.hex(), k.span_id.hex(), _attributes(k.attributes)) for k in span.links
        ),
    )


def otlp_json(rows: Iterable[tuple[bytes, bytes]]) -> dict[str, Any]:
    """Return stored spans as an `ExportTraceServiceRequest` in OTLP's JSON form: ids in hex, enums as numbers.

    Args:
        rows: resource and span as they came, those of one resource behind one another.
    """
    groups = [
        {
            "resource": _json_of(Resource.FromString(resource)),
            "scopeSpans": [{"spans": [_span_json(body) for _, body in members]}],
        }
        for resource, members in groupby(rows, key=lambda row: row[0])
    ]
    return {"resourceSpans": groups}


def _span_json(body: bytes) -> dict[str, Any]:
    span = Span.FromString(body)
    told = _json_of(span)
    told |= {"traceId": span.trace_id.hex(), "spanId": span.span_id.hex()}
    if span.parent_span_id:
        told["parentSpanId"] = span.parent_span_id.hex()
    for shown, link in zip(told.get("links", ()), span.links, strict=True):
        shown |= {"traceId": link.trace_id.hex(), "spanId": link.span_id.hex()}
    return told


def _json_of(message: Message) -> dict[str, Any]:
    told: dict[str, Any] = MessageToDict(message, use_integers_for_enums=True)
    return told


def _span_row(span: Span) -> SpanRow:
    start_ns = min(span.start_time_unix_nano, _INT64_MAX)
    return (
        span.trace_id,
        span.span_id,
        start_ns,
        _text_attribute(span.attributes, EVENT_KEY),
        span.SerializeToString(),
    )


def _link_rows(span: Span) -> Iterator[LinkRow]:
    for link in span.links:
        if _has_ids(link.trace_id, link.span_id):
            yield span.trace_id, span.span_id, link.trace_id, link.span_id


def _has_ids(trace_id: bytes, span_id: bytes) -> bool:
    return (
        len(trace_id) == TRACE_ID_BYTES and len(span_id) == SPAN_ID_BYTES and any(trace_id) and any(span_id)
    )


def _text_attribute(attributes: Iterable[KeyValue], name: str) -> str | None:
    for attribute in attributes:
        if attribute.key == name:
            return attribute.value.string_value or None
    return None


def _attributes(attributes: Iterable[KeyValue]) -> AttributeMap:
    return {attribute.key: _value(attribute.value) for attribute in attributes}


def _value(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    if which is None:
        return None
    if which == "array_value":
        return [_value(item) for item in value.array_value.values]
    if which == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    if which == "bytes_value":
        return value.bytes_value.hex()
    return getattr(value, which)


def _of(names: tuple[str, ...], number: int) -> str:
    return names[number] if 0 <= number < len(names) else names[0]
