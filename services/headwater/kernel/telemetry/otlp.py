"""Spans as OTLP messages, made in about half of the time: what repeats is made once.

The library makes a message for each attribute of each span and link, which is most of what a kept span costs. Names and
values of ours mostly repeat, so theirs are kept and only copied. What is not of our making (events, other resources,
lists as values) the library still does. Must not be imported by anything but `export`.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link, SpanContext, StatusCode
from opentelemetry.util.types import Attributes

KEPT_MAX: Final = 4_096
"""Pairs of name and value that are kept; what is used least makes room."""
KEPT_CHARS_MAX: Final = 64
"""Longer values are made anew each time: they hardly repeat."""

_KIND_SHIFT: Final = 1
"""OTLP's kinds begin at 1 with INTERNAL, the SDK's at 0."""
_HAS_IS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200
"""Bits of `flags` that say whether parent or link target is of another process (trace.proto, SpanFlags)."""
_UNSET: Final = Status()


class OtlpExporter(OTLPSpanExporter):
    """The library's exporter with messages made here."""

    def _translate_data(self, data: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
        return encode(data)


def encode(spans: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
    """Return the export of *spans*: what the library would make of them."""
    if not spans or not _alike(spans):
        return encode_spans(spans)
    try:
        messages = [_message(span) for span in spans]
    except _Unusual:
        return encode_spans(spans)
    request = encode_spans(spans[:1])
    members = request.resource_spans[0].scope_spans[0].spans
    del members[:]
    members.extend(messages)
    return request


class _Unusual(Exception):
    """A value of a kind that no span of ours carries."""


def _alike(spans: Sequence[ReadableSpan]) -> bool:
    """Say whether all spans are of one resource and one tracer, and none has events."""
    resource, scope = spans[0].resource, spans[0].instrumentation_scope
    return all(
        span.resource is resource and span.instrumentation_scope is scope and not span.events
        for span in spans
    )


def _message(span: ReadableSpan) -> Span:
    context, parent = span.get_span_context(), span.parent
    assert context is not None  # noqa: S101 - an ended span has one
    state = context.trace_state
    return Span(
        trace_id=context.trace_id.to_bytes(16, "big"),
        span_id=context.span_id.to_bytes(8, "big"),
        trace_state=",".join(f"{key}={value}" for key, value in state.items()) if state else "",
        parent_span_id=parent.span_id.to_bytes(8, "big") if parent is not None else b"",
        name=span.name,
        kind=span.kind.value + _KIND_SHIFT,  # type: ignore[arg-type]  # the message's enum is a number
        start_time_unix_nano=span.start_time or 0,
        end_time_unix_nano=span.end_time or 0,
        attributes=_pairs(span.attributes),
        links=[_link(link) for link in span.links],
        status=_status(span),
        dropped_attributes_count=span.dropped_attributes,
        dropped_events_count=span.dropped_events,
        dropped_links_count=span.dropped_links,
        flags=_flags(parent),
    )


def _link(link: Link) -> Span.Link:
    context = link.context
    return Span.Link(
        trace_id=context.trace_id.to_bytes(16, "big"),
        span_id=context.span_id.to_bytes(8, "big"),
        attributes=_pairs(link.attributes),
        dropped_attributes_count=link.dropped_attributes,
        flags=_flags(context),
    )


def _status(span: ReadableSpan) -> Status:
    status = span.status
    if status.status_code is StatusCode.UNSET:
        return _UNSET
    return Status(code=status.status_code.value, message=status.description or "")


def _flags(context: SpanContext | None) -> int:
    return _HAS_IS_REMOTE | _IS_REMOTE if context is not None and context.is_remote else _HAS_IS_REMOTE


def _pairs(attributes: Attributes | Mapping[str, object]) -> list[KeyValue]:
    return [_pair(key, value) for key, value in attributes.items()] if attributes else []


def _pair(key: str, value: object) -> KeyValue:
    if type(value) is str and len(value) <= KEPT_CHARS_MAX:
        return _kept_text(key, value)
    return _made(key, value)


@lru_cache(KEPT_MAX)
def _kept_text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def _made(key: str, value: object) -> KeyValue:
    match value:
        case bool():
            made = AnyValue(bool_value=value)
        case int():
            made = AnyValue(int_value=value)
        case float():
            made = AnyValue(double_value=value)
        case str():
            made = AnyValue(string_value=value)
        case _:
            raise _Unusual
    return KeyValue(key=key, value=made)
