"""The spans around queue, database and HTTP."""

from contextlib import suppress

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from tests.unit.telemetry.conftest import LINKS_MAX, Recorder

from headwater.kernel.telemetry import Child, Linked, Spans, TraceContext, current, names
from headwater.kernel.telemetry.names import AttributeName
from headwater.kernel.telemetry.otlp import message
from headwater.kernel.telemetry.recording import RecordedSpan


def _context(number: int, *, sampled: bool = True) -> TraceContext:
    found = TraceContext.parse(f"00-{number:032x}-{number:016x}-{int(sampled):02x}")
    assert found is not None
    return found


def _linked(span: RecordedSpan) -> list[tuple[str, object]]:
    return [
        (f"{link.context.trace_id:032x}", (link.attributes or {})["headwater.link_role"])
        for link in span.links
    ]


STORED = _context(7)
PREVIOUS = _context(8)


def test_record_is_a_producer_child_of_the_producers_context(recorder: Recorder) -> None:
    """The send span continues the producer's trace, and its own context is what a row stores."""
    with recorder.spans.record("event_log", parent=STORED, attributes={names.TENANT: "acme"}) as span:
        stored = span.context
    made = recorder.one()
    assert (made.name, made.kind) == ("send event_log", SpanKind.PRODUCER)
    assert made.parent is not None
    assert f"{made.parent.span_id:016x}" == STORED.span_id
    assert stored is not None
    assert (stored.trace_id, stored.sampled) == (STORED.trace_id, True)
    assert made.attributes == {
        "headwater.tenant": "acme",
        "messaging.system": "headwater",
        "messaging.destination.name": "event_log",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
    }


def test_insert_counts_its_batch_and_links_its_members(recorder: Recorder) -> None:
    """One send span stands for the batch and links every sampled member once."""
    with recorder.spans.insert("event_log", 3, [STORED, STORED, None, _context(9, sampled=False)]):
        pass
    made = recorder.one()
    assert made.attributes["messaging.batch.message_count"] == 3
    assert _linked(made) == [(STORED.trace_id, "member")]


@pytest.mark.parametrize("operation", ["receive", "settle"])
def test_batch_span_is_a_client_root_with_bounded_links(recorder: Recorder, operation: str) -> None:
    """Receive and settle stand outside their members' traces; links past the bound are counted."""
    start = recorder.spans.receive if operation == "receive" else recorder.spans.settle
    members = [_context(number) for number in range(1, LINKS_MAX + 4)]
    with recorder.spans.root("outer"), start("event_log", len(members), members):
        pass
    made = recorder.all()[0]
    assert (made.name, made.kind, made.parent) == (f"{operation} event_log", SpanKind.CLIENT, None)
    assert len(made.links) == LINKS_MAX
    assert made.attributes["headwater.links_left_out"] == 3


def test_batch_span_is_kept_exactly_when_a_member_is(sparing_recorder: Recorder) -> None:
    """A claim's span is recorded for the sake of a recorded member, not by a ratio of its own."""
    with sparing_recorder.spans.receive("event_log", 1, [_context(1, sampled=False)]):
        pass
    assert sparing_recorder.all() == []
    with sparing_recorder.spans.receive("event_log", 2, [_context(1, sampled=False), STORED]):
        pass
    assert _linked(sparing_recorder.one()) == [(STORED.trace_id, "member")]


def test_first_attempt_is_a_child_that_links_its_creation(recorder: Recorder) -> None:
    """Within the window, processing stays in the producer's trace and links it as well."""
    with recorder.spans.process("event_log", Child(), created=STORED):
        assert current() is not None
    made = recorder.one()
    assert (made.name, made.kind) == ("process event_log", SpanKind.CONSUMER)
    assert made.parent is not None
    assert f"{made.parent.trace_id:032x}" == STORED.trace_id
    assert _linked(made) == [(STORED.trace_id, "creation")]


def test_retry_is_a_root_that_links_creation_and_previous_attempt(sparing_recorder: Recorder) -> None:
    """A retry begins its own trace, always recorded, and says which event and attempt it follows."""
    unsampled = _context(7, sampled=False)
    with sparing_recorder.spans.process(
        "delivery",
        Linked("retry"),
        created=unsampled,
        previous=PREVIOUS,
        attempt=2,
    ):
        pass
    made = sparing_recorder.one()
    assert made.parent is None
    assert made.get_span_context().trace_id not in {int(unsampled.trace_id, 16), int(PREVIOUS.trace_id, 16)}
    assert _linked(made) == [(unsampled.trace_id, "creation"), (PREVIOUS.trace_id, "previous_attempt")]
    attributes = made.attributes
    assert (attributes["headwater.attempt"], attributes["headwater.relation"]) == (2, "retry")


def test_child_of_an_unsampled_event_is_not_recorded(sparing_recorder: Recorder) -> None:
    """The stored flag carries the first decision across the queue."""
    with sparing_recorder.spans.process("event_log", Child(), created=_context(7, sampled=False)) as span:
        assert span.recording is False
        assert span.context is not None
        assert span.context.trace_id == STORED.trace_id
    assert sparing_recorder.all() == []


def test_root_is_kept_when_it_is_marked(sparing_recorder: Recorder) -> None:
    """A breaker that opens is recorded whatever the ratio."""
    with sparing_recorder.spans.root("open breaker", keep=True), sparing_recorder.spans.root("sweep"):
        pass
    assert sparing_recorder.one().name == "open breaker"


def test_db_span_names_verb_table_and_batch(recorder: Recorder) -> None:
    """A COPY of many rows is one span with its size and without any statement text."""
    with recorder.spans.db("COPY", "event", 500):
        pass
    made = recorder.one()
    assert (made.name, made.kind) == ("COPY event", SpanKind.CLIENT)
    assert made.attributes == {
        "db.system.name": "postgresql",
        "db.operation.name": "COPY",
        "db.collection.name": "event",
        "db.query.summary": "COPY event",
        "db.operation.batch.size": 500,
    }


def test_http_span_says_where_and_hides_what(recorder: Recorder) -> None:
    """A connector's call carries host, template, resend count and status, but no credential, query or address."""
    url = "https://user:secret@api.example.test/crm/contacts/ann%40example.test?token=secret"
    with recorder.spans.http("PATCH", url, template="/crm/contacts/{id}", resend_count=1) as span:
        span.http_status(503)
    made = recorder.one()
    attributes = made.attributes
    assert made.name == "PATCH /crm/contacts/{id}"
    assert attributes["url.full"] == "https://api.example.test/crm/contacts/REDACTED"
    assert (attributes["server.address"], attributes["server.port"]) == ("api.example.test", 443)
    assert (attributes["http.request.resend_count"], attributes["http.response.status_code"]) == (1, 503)
    assert (attributes["error.type"], made.status.status_code) == ("503", StatusCode.ERROR)
    assert "secret" not in str(attributes)


def test_exception_fails_the_span_without_its_message(recorder: Recorder) -> None:
    """An error that passes through names its class; what it says may hold a record's values and stays out."""
    with pytest.raises(ValueError, match="ann@"), recorder.spans.db("INSERT", "event"):
        raise ValueError("ann@example.test is taken")
    made = recorder.one()
    assert made.attributes["error.type"] == "ValueError"
    assert made.status.status_code is StatusCode.ERROR
    assert b"ann@" not in message(made)


def test_error_said_by_hand_is_not_overwritten_by_the_exception(recorder: Recorder) -> None:
    """The reason that the code gave stays."""
    with suppress(RuntimeError), recorder.spans.root("sweep") as span:
        span.error("RATE_LIMITED")
        raise RuntimeError
    assert recorder.one().attributes["error.type"] == "RATE_LIMITED"


def test_unregistered_attribute_does_not_reach_the_span(recorder: Recorder) -> None:
    """The table is an allow-list at run time too."""
    stray = AttributeName("person.email")
    with recorder.spans.root("sweep", attributes={stray: "ann@example.test"}) as span:
        span.set(stray, "ann@example.test")
        span.set(names.OUTCOME, "accepted")
    assert recorder.one().attributes == {"headwater.outcome": "accepted"}


def test_an_attempt_without_a_stored_context_leaves_what_is_current_when_spans_are_off() -> None:
    """Most events of a producer without traces: one handle serves them all, inside each other too."""
    spans = Spans.off()
    with spans.record("event_log", parent=STORED):
        with (
            spans.process("q", Child(), created=None) as outer,
            spans.process("q", Child(), created=None) as inner,
        ):
            outer.error("boom")
            assert (inner.context, inner.recording) == (None, False)
            assert current() == STORED
            with spans.process("q", Child(), created=PREVIOUS):
                assert current() == PREVIOUS
        assert current() == STORED


def test_spans_off_pass_the_context_through() -> None:
    """Without an exporter the producer's context is still what is stored and sent on."""
    spans = Spans.off()
    with spans.record("event_log", parent=STORED) as sent:
        assert sent.context == STORED
        assert current() == STORED
        with spans.db("COPY", "event", 2) as copied:
            assert (copied.recording, copied.context) == (False, STORED)
    with spans.receive("event_log", 1, [STORED]) as received:
        assert received.context is None
