"""The tracer's decisions, and what a kept span holds."""

import random
from contextlib import suppress

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, StatusCode, get_current_span, set_span_in_context
from tests.unit.telemetry.conftest import Recorder

from headwater.kernel.telemetry import Child, TraceContext, current, names
from headwater.kernel.telemetry.context import CarriedSpan, context_of
from headwater.kernel.telemetry.otlp import message
from headwater.kernel.telemetry.recording import RecordedSpan, RecordingTracer, RowLink
from headwater.kernel.telemetry.span import SpanGroup

KEPT = TraceContext(f"00-{'a' * 32}-{'b' * 16}-03", "vendor=1")
UNKEPT = TraceContext(f"00-{'a' * 32}-{'b' * 16}-00")


def _tracer(ratio: float, **options: int) -> tuple[RecordingTracer, list[RecordedSpan]]:
    kept: list[RecordedSpan] = []
    return RecordingTracer(ratio, kept.append, chance=random.Random(8), **options), kept


@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.3, 1.0])
def test_a_root_is_kept_exactly_when_the_sdk_would_keep_it(ratio: float) -> None:
    """Other services decide by the same bits of the trace id: a trace is kept by all or by none."""
    tracer, _ = _tracer(ratio)
    judge = TraceIdRatioBased(ratio)
    for _ in range(500):
        span = tracer.start_span("work", Context())
        context = span.get_span_context()
        decision = judge.should_sample(None, context.trace_id, "work").decision
        wanted = decision is Decision.RECORD_AND_SAMPLE
        assert (span.is_recording(), context.trace_flags.sampled) == (wanted, wanted)
        assert context.is_valid


def test_every_span_has_an_id_of_its_own() -> None:
    """Of 64 bits; a root has a trace of its own as well."""
    tracer, _ = _tracer(1.0)
    contexts = [tracer.start_span("work", Context()).get_span_context() for _ in range(100)]
    assert len({context.trace_id for context in contexts}) == 100
    assert len({context.span_id for context in contexts}) == 100


def test_a_child_carries_its_parents_trace_flags_and_state_on() -> None:
    """Of a parent elsewhere, known as remote, and of one here."""
    tracer, _ = _tracer(0.0)
    span = tracer.start_span("work", KEPT.to_parent())
    assert isinstance(span, RecordedSpan)
    assert (span.trace.trace_id, span.trace.flags, span.trace.tracestate) == (KEPT.trace_id, 3, "vendor=1")
    assert span.parent == KEPT.to_span_context()
    below = tracer.start_span("below", set_span_in_context(span, Context()))
    assert isinstance(below, RecordedSpan)
    assert below.parent is not None
    assert (below.parent.is_remote, f"{below.parent.span_id:016x}") == (False, span.trace.span_id)


def test_a_parent_of_another_library_is_followed() -> None:
    """A program that uses our client may bring its own."""
    tracer, _ = _tracer(0.0)
    foreign = set_span_in_context(NonRecordingSpan(KEPT.to_span_context()), Context())
    span = tracer.start_span("work", foreign)
    assert isinstance(span, RecordedSpan)
    assert span.above == KEPT


def test_below_what_is_not_kept_nothing_is_made(recorder: Recorder) -> None:
    """The context is carried on as it is; whatever the mark and the ratio, a child follows its parent."""
    tracer, kept = _tracer(1.0)
    span = tracer.start_span("work", UNKEPT.to_parent(), attributes={names.SAMPLING: names.SAMPLING_KEEP})
    assert isinstance(span, CarriedSpan)
    assert context_of(span) == UNKEPT
    span.end()
    assert kept == []
    with recorder.spans.process("q", Child(), created=UNKEPT) as outer:
        with recorder.spans.db("COPY", "event"), recorder.spans.http("GET", "https://crm.example") as inner:
            assert (current(), inner.context, inner.recording) == (UNKEPT, UNKEPT, False)
        assert outer.context == UNKEPT
    assert recorder.all() == []


def test_links_beyond_the_bound_are_counted() -> None:
    """The first are kept."""
    tracer, _ = _tracer(1.0, links_max=2)
    span = tracer.start_span("work", Context(), links=[RowLink(KEPT, names.LINK_MEMBER)] * 5)
    assert isinstance(span, RecordedSpan)
    assert (len(span.links), span.links_left_out) == (2, 3)


def test_an_ended_span_is_told_once_and_is_what_it_was() -> None:
    """Nothing that comes later changes it: it may be under way to the receiver."""
    tracer, kept = _tracer(1.0)
    span = tracer.start_span("work", Context(), attributes={names.TENANT: "acme"})
    span.end()
    assert isinstance(span, RecordedSpan)
    before = message(span)
    span.set_attribute(names.OUTCOME, "late")
    span.set_attributes({names.OUTCOME: "late"})
    span.set_status(StatusCode.ERROR, "late")
    span.update_name("late")
    span.end()
    assert (kept, message(span), span.is_recording()) == ([span], before, False)


def test_a_status_that_is_ok_is_final() -> None:
    """As the API asks; unset changes nothing."""
    tracer, _ = _tracer(1.0)
    span = tracer.start_span("work", Context())
    assert isinstance(span, RecordedSpan)
    span.set_status(StatusCode.ERROR, "why")
    span.set_status(StatusCode.UNSET)
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "why")
    span.set_status(StatusCode.OK)
    span.set_status(StatusCode.ERROR)
    assert span.status.status_code is StatusCode.OK


def test_a_span_made_current_ends_with_its_block_and_names_what_passed() -> None:
    """The class of an exception, never its message."""
    tracer, kept = _tracer(1.0)
    with suppress(ValueError), tracer.start_as_current_span("work", Context()) as span:
        assert get_current_span() is span
        raise ValueError("ann@example.test is taken")
    [made] = kept
    assert (made.attributes[names.ERROR_TYPE], made.status.status_code) == ("ValueError", StatusCode.ERROR)
    assert b"ann@" not in message(made)


def test_a_group_has_its_last_span_current_and_ends_all(recorder: Recorder) -> None:
    """An exception that passes fails each that has said no error of its own."""
    contexts = [TraceContext(f"00-{number:032x}-{number:016x}-01") for number in (1, 2, 3)]
    spans = [recorder.spans.process("q", Child(), created=context) for context in contexts]
    with suppress(RuntimeError), SpanGroup(spans):
        assert current() == spans[-1].handle.context
        spans[0].handle.error("RATE_LIMITED")
        raise RuntimeError
    assert current() is None
    told = {span.trace.trace_id: span.attributes[names.ERROR_TYPE] for span in recorder.all()}
    assert [told[context.trace_id] for context in contexts] == [
        "RATE_LIMITED",
        "RuntimeError",
        "RuntimeError",
    ]
    with SpanGroup([]):
        assert current() is None


def test_a_span_that_was_not_entered_leaves_what_is_current(recorder: Recorder) -> None:
    """And ends by hand, with what it was told."""
    span = recorder.spans.process("q", Child(), created=KEPT)
    assert current() is None
    span.handle.update({names.TENANT: "acme", names.AttributeName("person.email"): "ann@example.test"})
    span.finish(LookupError)
    made = recorder.one()
    assert (made.attributes[names.TENANT], made.attributes[names.ERROR_TYPE]) == ("acme", "LookupError")
    assert "person.email" not in made.attributes
