"""The bytes of a request, put together from events that are serialised once. Pure, save that it reads the span.

A protobuf message is the concatenation of its fields, so a batch is its head and the events' bytes; an event
that is sent again, by whatever message, is the very same bytes. `tests/unit/client/test_wire.py` holds this
against the protobuf runtime.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.errors import FieldViolation, InvalidInput
from headwater.kernel.telemetry.context import current

BATCH_EVENTS_MAX: Final = 1_000
"""Most events in a batch; source: ingest.proto."""
MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Largest message that the service reads; source: its default."""

_EVENT_HEAD_BYTES: Final = 8
"""Most bytes of an event's tag and length."""
_HEAD_BYTES: Final = 128
"""Most bytes of batch number and tenant."""
_BODY_BYTES_MAX: Final = MESSAGE_BYTES_MAX - _EVENT_HEAD_BYTES - _HEAD_BYTES

_LENGTH_DELIMITED: Final = 2
"""Wire type of messages; source: protobuf encoding."""
_ONE_BYTE: Final = 1 << 7
_TWO_BYTES: Final = 1 << 14
"""Lengths from which a varint takes one byte more: 7 bits a byte."""
_UNARY: Final = ingest_pb2.BatchRecordEventsRequest.EVENTS_FIELD_NUMBER << 3 | _LENGTH_DELIMITED
_STREAM: Final = ingest_pb2.StreamEventsRequest.EVENTS_FIELD_NUMBER << 3 | _LENGTH_DELIMITED


def body(event: event_pb2.Event) -> bytes:
    """Return the bytes of *event*, with the current span's context where it brings none; *event* is not changed."""
    written = event.SerializeToString()
    if not event.HasField("trace") and (context := current()) is not None:
        trace = event_pb2.TraceContext(traceparent=context.traceparent, tracestate=context.tracestate)
        return written + event_pb2.Event(trace=trace).SerializeToString()
    return written


def single(event: event_pb2.Event) -> bytes:
    """Return `body` of one event that fits a message by itself; raises as `checked`."""
    written = body(event)
    if len(written) > _BODY_BYTES_MAX:
        checked((written,))
    return written


def unary_request(tenant_id: str, bodies: Sequence[bytes]) -> bytes:
    """Return a serialised `BatchRecordEventsRequest`; raises as `checked`."""
    head = ingest_pb2.BatchRecordEventsRequest(tenant_id=tenant_id).SerializeToString()
    return _joined(head, _UNARY, checked(bodies))


def stream_request(number: int, tenant_id: str, bodies: Sequence[bytes]) -> bytes:
    """Return a serialised `StreamEventsRequest`."""
    head = ingest_pb2.StreamEventsRequest(batch_number=number, tenant_id=tenant_id).SerializeToString()
    return _joined(head, _STREAM, bodies)


def checked(bodies: Sequence[bytes]) -> Sequence[bytes]:
    """Return *bodies* where they make a batch that the service reads.

    Raises:
        InvalidInput: none, more than 1,000, or more than 16 MiB in all.
    """
    if not 1 <= len(bodies) <= BATCH_EVENTS_MAX:
        rule = FieldViolation("events", str(len(bodies)), "size", f"must hold 1 to {BATCH_EVENTS_MAX} events")
        raise InvalidInput("the batch is malformed", violations=(rule,))
    size_bytes = sum(map(len, bodies)) + _EVENT_HEAD_BYTES * len(bodies) + _HEAD_BYTES
    if size_bytes > MESSAGE_BYTES_MAX:
        rule = FieldViolation("events", str(size_bytes), "bytes", f"at most {MESSAGE_BYTES_MAX} bytes in all")
        raise InvalidInput("the batch is too large", violations=(rule,))
    return bodies


def _joined(head: bytes, tag: int, bodies: Sequence[bytes]) -> bytes:
    parts = [head]
    for item in bodies:
        parts.append(_prefix(tag, len(item)))
        parts.append(item)
    return b"".join(parts)


def _prefix(tag: int, length: int) -> bytes:
    """Return tag and length as varints; a tag of ours is one byte."""
    if length < _ONE_BYTE:
        return bytes((tag, length))
    if length < _TWO_BYTES:
        return bytes((tag, length & 0x7F | 0x80, length >> 7))
    out = bytearray((tag,))
    while length >= _ONE_BYTE:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    out.append(length)
    return bytes(out)
