"""Spans as OTLP messages, written as bytes: what repeats is written once.

The library makes an object for each attribute of each span and link, which was most of what a kept span costs. Here a
message is put together from pieces in the wire format of protocol buffers; pairs of name and value mostly repeat, so
theirs are kept. What we write is parsed by the library before it is sent, so a mistake here sends nothing wrong: it
fails the batch. Must not be imported by anything but `export`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, StatusCode

from headwater.kernel.telemetry import names
from headwater.kernel.telemetry.recording import RecordedSpan, RowLink

ATTRIBUTE_CHARS_MAX: Final = 1_024
"""Characters of one attribute value."""
KEPT_MAX: Final = 4_096
"""Pairs of name and value that are kept; what is used least makes room."""
KEPT_CHARS_MAX: Final = 24
"""Longer values are written anew each time: they are ids, and hardly repeat."""
KEPT_NUMBERS: Final = 1_024
"""Whole numbers below are kept as well: tries, ports, statuses, sizes of batches."""
INT64_MAX: Final = 2**63 - 1
SIZES: Final = 0x4000
"""Sizes below are at hand as they are written."""
LOW, LOW_BITS, HIGH = 0x7F, 7, 0x80
"""A byte of a varint has seven bits of the number, and one that says that more follow."""

_TRACE_ID, _SPAN_ID, _STATE, _PARENT, _NAME = b"\x0a\x10", b"\x12\x08", b"\x1a", b"\x22\x08", b"\x2a"
_ATTRIBUTE, _LINK, _STATUS = b"\x4a", b"\x6a", b"\x7a"
_LINKS_LEFT_OUT: Final = b"\x70"
"""Tags of `Span` (trace.proto), those of ids with their length."""
_KIND_AND_TIMES: Final = struct.Struct("<BBBQBQ")
_KIND, _START, _END = 0x30, 0x39, 0x41
_KIND_SHIFT: Final = 1
"""OTLP's kinds begin at 1 with INTERNAL, the API's at 0."""
_FLAGS_LOCAL: Final = b"\x85\x01" + (0x100).to_bytes(4, "little")
_FLAGS_REMOTE: Final = b"\x85\x01" + (0x300).to_bytes(4, "little")
"""`flags` of a span: that we know whether its parent is of another process, and whether it is (SpanFlags)."""
_LINK_FLAGS_LOCAL: Final = b"\x35" + (0x100).to_bytes(4, "little")
_LINK_FLAGS_REMOTE: Final = b"\x35" + (0x300).to_bytes(4, "little")
_NO_STATUS: Final = _STATUS + b"\0"
_LINK_ATTRIBUTE: Final = b"\x22"


class OtlpExporter(OTLPSpanExporter):
    """The library's exporter with messages made here."""

    def __init__(self, encoder: Encoder, **options: Any) -> None:
        super().__init__(**options)
        self._encoder = encoder
        self._last: tuple[object, ExportTraceServiceRequest] | None = None

    def export(self, spans: Sequence[RecordedSpan]) -> SpanExportResult:  # type: ignore[override]  # ours
        """Send a batch; blocks until it is answered or given up."""
        return self._export(spans)  # type: ignore[arg-type]  # only counted, and handed to the next method

    def _translate_data(self, data: Sequence[RecordedSpan]) -> ExportTraceServiceRequest:  # type: ignore[override]  # ours
        """Return the message of a batch; the library asks for it again at each try."""
        if self._last is None or self._last[0] is not data:
            self._last = data, self._encoder.request(data)
        return self._last[1]


class Encoder:
    """Makes the messages of one process.

    Args:
        resource: attributes of the process; those of OTEL_RESOURCE_ATTRIBUTES and the SDK's own are added.
        scope: name of what makes the spans; its version is that of the service.
    """

    def __init__(self, resource: Mapping[str, str], scope: str) -> None:
        sample = ReadableSpan(
            "",
            SpanContext(1, 1, is_remote=False),
            resource=Resource.create(dict(resource)),
            instrumentation_scope=InstrumentationScope(scope, resource.get("service.version", "")),
        )
        [made] = encode_spans([sample]).resource_spans
        self._resource = _sized(b"\x0a", made.resource.SerializeToString())
        self._scope = _sized(b"\x0a", made.scope_spans[0].scope.SerializeToString())

    def request(self, spans: Sequence[RecordedSpan]) -> ExportTraceServiceRequest:
        """Return the export of *spans*."""
        members = b"".join([self._scope, *[_sized(b"\x12", message(span)) for span in spans]])
        return ExportTraceServiceRequest.FromString(
            _sized(b"\x0a", self._resource + _sized(b"\x12", members))
        )


def message(span: RecordedSpan) -> bytes:
    """Return a span as `opentelemetry.proto.trace.v1.Span`."""
    own, above = span.trace, span.above
    parts = [_ids(own.traceparent)]
    if own.tracestate:
        parts.append(_sized(_STATE, own.tracestate.encode()))
    if above is not None:
        parts += (_PARENT, bytes.fromhex(above.traceparent[36:52]))
    parts += (
        _text(_NAME, span.name),
        _KIND_AND_TIMES.pack(_KIND, span.kind.value + _KIND_SHIFT, _START, span.start_ns, _END, span.end_ns),
    )
    for key, value in span.attributes.items():
        kind = type(value)
        if kind is str:
            fresh = len(value) > KEPT_CHARS_MAX
            parts.append(_fresh(key, value) if fresh else _kept(_ATTRIBUTE, key, value))
        elif kind is int and 0 <= value < KEPT_NUMBERS:
            parts.append(_kept(_ATTRIBUTE, key, value))
        else:
            parts.append(_sized(_ATTRIBUTE, _pair(key, value)))
    parts += [_link(link) for link in span.links]
    if span.links_left_out:
        parts += (_LINKS_LEFT_OUT, _varint(span.links_left_out))
    if span.status.status_code is StatusCode.UNSET:
        parts.append(_NO_STATUS)
    else:
        status = Status(code=span.status.status_code.value, message=span.status.description or "")
        parts.append(_sized(_STATUS, status.SerializeToString()))
    parts.append(_FLAGS_REMOTE if span.remote else _FLAGS_LOCAL)
    return b"".join(parts)


def _link(link: Link) -> bytes:
    if isinstance(link, RowLink):
        traceparent = link.trace.traceparent
        head, tail = _around_row(link.role)
        return b"%b%b%b%b%b" % (
            head, bytes.fromhex(traceparent[3:35]), _SPAN_ID, bytes.fromhex(traceparent[36:52]), tail
        )  # fmt: skip
    context = link.context
    flags = _LINK_FLAGS_REMOTE if context.is_remote else _LINK_FLAGS_LOCAL
    attributes = [_kept(_LINK_ATTRIBUTE, key, value) for key, value in (link.attributes or {}).items()]
    ids_of = _ids(f"00-{context.trace_id:032x}-{context.span_id:016x}-")
    return _sized(_LINK, b"".join((ids_of, *attributes, flags)))


@lru_cache(KEPT_MAX)
def _around_row(role: str) -> tuple[bytes, bytes]:
    """Return what stands before the trace id and after the span id of a link to a row, the same for all of a role."""
    tail = _kept(_LINK_ATTRIBUTE, names.LINK_ROLE, role) + _LINK_FLAGS_REMOTE
    empty = _TRACE_ID + bytes(16) + _SPAN_ID + bytes(8) + tail
    return _LINK + _varint(len(empty)) + _TRACE_ID, tail


def _ids(traceparent: str) -> bytes:
    return b"%b%b%b%b" % (
        _TRACE_ID,
        bytes.fromhex(traceparent[3:35]),
        _SPAN_ID,
        bytes.fromhex(traceparent[36:52]),
    )


@lru_cache(KEPT_MAX)
def _text(tag: bytes, text: str) -> bytes:
    return _sized(tag, text.encode(errors="replace"))


@lru_cache(KEPT_MAX, typed=True)
def _kept(tag: bytes, key: str, value: Any) -> bytes:
    return _sized(tag, _pair(key, value))


def _fresh(key: str, value: str) -> bytes:
    """Return an attribute whose value is a text, in one piece where it is as short as nearly all are."""
    name, text = _text(b"\x0a", key), value[:ATTRIBUTE_CHARS_MAX].encode(errors="replace")
    size = len(text)
    whole = len(name) + size + 4
    if whole > LOW:
        return _sized(_ATTRIBUTE, name + _sized(b"\x12", _sized(b"\x0a", text)))
    return b"%b%c%b\x12%c\x0a%c%b" % (_ATTRIBUTE, whole, name, size + 2, size, text)


def _pair(key: str, value: Any) -> bytes:
    """Return a `KeyValue`; a value of another kind as its text."""
    match value:
        case bool():
            made = AnyValue(bool_value=value)
        case int() if -INT64_MAX <= value <= INT64_MAX:
            made = AnyValue(int_value=value)
        case float():
            made = AnyValue(double_value=value)
        case _:
            text = str(value)[:ATTRIBUTE_CHARS_MAX].encode(errors="replace")
            return _text(b"\x0a", key) + _sized(b"\x12", _sized(b"\x0a", text))
    return KeyValue(key=key, value=made).SerializeToString()


def _sized(tag: bytes, body: bytes) -> bytes:
    size = len(body)
    return tag + (_SIZES[size] if size < SIZES else _varint(size)) + body


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > LOW:
        written.append(number & LOW | HIGH)
        number >>= LOW_BITS
    written.append(number)
    return bytes(written)


_SIZES: Final = tuple(_varint(size) for size in range(SIZES))
