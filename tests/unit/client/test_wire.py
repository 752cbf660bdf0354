"""The bytes put together by hand are those of the protobuf runtime."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from headwater.client.wire import MESSAGE_BYTES_MAX, body, checked, single, stream_request, unary_request
from headwater.client.writing import event
from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.errors import InvalidInput

_TIME = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_PAYLOADS = st.sampled_from([0, 1, 80, 126, 127, 128, 300, 16_300, 16_384, 70_000])
_EVENTS = st.builds(
    event_pb2.Event,
    source=st.text(max_size=5),
    external_id=st.text(max_size=140),
    payload=_PAYLOADS.map(lambda size: b"p" * size),
)


@given(events=st.lists(_EVENTS, min_size=1, max_size=5), number=st.integers(1, 2**40))
def test_a_stream_message_is_what_protobuf_would_write(events: list[event_pb2.Event], number: int) -> None:
    """Byte for byte, whatever the sizes."""
    bodies = list(map(body, events))
    expected = ingest_pb2.StreamEventsRequest(batch_number=number, tenant_id="acme", events=events)
    assert stream_request(number, "acme", bodies) == expected.SerializeToString()


@given(events=st.lists(_EVENTS, min_size=1, max_size=5))
def test_a_batch_is_what_protobuf_would_write(events: list[event_pb2.Event]) -> None:
    """The unary request too."""
    expected = ingest_pb2.BatchRecordEventsRequest(tenant_id="acme", events=events)
    assert unary_request("acme", list(map(body, events))) == expected.SerializeToString()


def test_an_event_without_a_trace_takes_that_of_the_current_span() -> None:
    """The caller's message stays as it is."""
    span = NonRecordingSpan(SpanContext(0xA, 0xB, is_remote=False, trace_flags=TraceFlags(1)))
    message = event("crm", "contact", "1", {}, event_time=_TIME)
    with use_span(span):
        written = event_pb2.Event.FromString(body(message))
    assert written.trace.traceparent == f"00-{0xA:032x}-{0xB:016x}-01"
    assert not message.HasField("trace")


def test_an_event_keeps_the_trace_that_it_brings() -> None:
    """The producer's word goes first."""
    span = NonRecordingSpan(SpanContext(0xA, 0xB, is_remote=False, trace_flags=TraceFlags(1)))
    message = event_pb2.Event(trace=event_pb2.TraceContext(traceparent="mine"))
    with use_span(span):
        assert event_pb2.Event.FromString(body(message)) == message


@pytest.mark.parametrize("count", [0, 1_001])
def test_a_batch_of_a_wrong_size_does_not_leave(count: int) -> None:
    """The service would refuse it, and on a stream break the connection."""
    with pytest.raises(InvalidInput) as caught:
        checked([b""] * count)
    assert caught.value.violations[0].field == "events"


def test_a_message_that_the_service_cannot_read_does_not_leave() -> None:
    """It would be told RESOURCE_EXHAUSTED for ever."""
    with pytest.raises(InvalidInput, match="too large"):
        single(event_pb2.Event(payload=b"x" * MESSAGE_BYTES_MAX))
