"""Trace context as data."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.kernel.telemetry.context import (
    RAW_BYTES,
    Child,
    Linked,
    TraceContext,
    attempt_relation,
    current,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{SPAN}-01"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

ids = st.tuples(
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.integers(0, 3),
).map(lambda parts: f"00-{parts[0]:032x}-{parts[1]:016x}-{parts[2]:02x}")


@given(ids)
def test_context_survives_every_conversion(traceparent: str) -> None:
    """Headers, stored bytes and the SDK's form lead back to the same value."""
    context = TraceContext.parse(traceparent)
    assert context is not None
    assert context.traceparent == traceparent
    assert len(context.to_bytes()) == RAW_BYTES
    assert TraceContext.from_bytes(context.to_bytes()) == context
    assert TraceContext.from_span_context(context.to_span_context()) == context


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        "",
        VALID.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"{VALID}-more",
        f"{VALID}\n",
        f" {VALID}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE[:-1]}_-{SPAN}-01",
    ],
)
def test_parse_gives_none_when_traceparent_is_bad(traceparent: str | None) -> None:
    """What the W3C grammar does not allow is no context."""
    assert TraceContext.parse(traceparent) is None


@given(st.text(), st.text(), st.binary())
def test_parse_never_raises(traceparent: str, tracestate: str, raw: bytes) -> None:
    """Whatever comes over the wire, reading it gives a value or None."""
    TraceContext.parse(traceparent, tracestate)
    TraceContext.parse(VALID, tracestate)
    TraceContext.from_bytes(raw, tracestate)


def test_parse_reads_the_known_part_when_version_is_newer() -> None:
    """A version after 00 is read by its first four fields and passed on as 00."""
    context = TraceContext.parse(f"01-{TRACE}-{SPAN}-01-whatever")
    assert context == TraceContext(VALID)


def test_parse_clears_flags_it_does_not_know() -> None:
    """Only the sampled and random flags are passed on."""
    context = TraceContext.parse(f"00-{TRACE}-{SPAN}-ff")
    assert context is not None
    assert (context.flags, context.sampled) == (3, True)


@pytest.mark.parametrize("tracestate", ["no member", "a=1,b", "Upper=1", "a=" + "x" * 600, "a=\x00"])
def test_parse_leaves_out_a_bad_tracestate(tracestate: str) -> None:
    """A tracestate that breaks the grammar costs itself, not the traceparent."""
    assert TraceContext.parse(VALID, tracestate) == TraceContext(VALID)


def test_tracestate_travels_when_it_is_good() -> None:
    """Members are kept in their order through the SDK's form."""
    context = TraceContext.parse(VALID, "rojo=00f067aa0ba902b7, congo=t61rcWkgMzE")
    assert context is not None
    assert context.tracestate == "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
    assert TraceContext.from_span_context(context.to_span_context()) == context


@pytest.mark.parametrize("raw", [None, b"", b"x" * 24, b"x" * 26, bytes(25), b"\x01" * 16 + bytes(9)])
def test_from_bytes_gives_none_when_bytes_are_bad(raw: bytes | None) -> None:
    """Stored bytes of another length, or with a zero id, are no context."""
    assert TraceContext.from_bytes(raw) is None


def test_current_is_none_outside_any_span() -> None:
    """Without a span there is no context to store."""
    assert current() is None


@pytest.mark.parametrize(
    ("age_s", "attempt", "expected"),
    [
        (0, 1, Child()),
        (60, 1, Child()),
        (-5, 1, Child()),
        (60.001, 1, Linked("late")),
        (0, 2, Linked("retry")),
        (3600, 7, Linked("retry")),
    ],
)
def test_attempt_relation_follows_decision_11(age_s: float, attempt: int, expected: Child | Linked) -> None:
    """A first attempt inside the window is a child; a late one and every retry is a linked root."""
    assert attempt_relation(NOW - timedelta(seconds=age_s), NOW, attempt) == expected
