"""Trace context as data: what is stored with an event and with a delivery mark.

Owns the value that travels through tables and messages (W3C Trace Context, level 2), its conversions, and the
rule that says how an attempt hangs on its event's trace. Pure: starts no span, reads no clock, never raises on
bad input. Must not import the SDK.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Self

import msgspec
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
)

TRACESTATE_CHARS_MAX: Final = 512
"""Characters; W3C Trace Context asks that at least 512 be propagated, and we bound what we store there."""

TRACESTATE_MEMBERS_MAX: Final = 32
"""Members; W3C Trace Context, section 3.3.1.1."""

RAW_BYTES: Final = 25
"""Bytes of the stored form: 16 of trace id, 8 of span id, 1 of flags."""

CHILD_WINDOW_S: Final = 60.0
"""Seconds within which a first attempt is a child of its event's context (design decision 11)."""

_TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    r"(?P<more>-.*)?",
)
_USUAL = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[0-3]")
"""A traceparent that is already as we write it: nearly all of them, and three times as fast to check."""
_TRACESTATE_MEMBER = re.compile(
    r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
SAMPLED_FLAGS: Final = "13"
"""Last digits of a traceparent of ours that say: sampled."""
_FLAGS_KNOWN: Final = 0x03
"""Sampled and random-trace-id; a flag we do not know is not ours to pass on (W3C, section 3.2.2.5)."""


class TraceContext(msgspec.Struct, frozen=True, gc=False):
    """One point in one trace, in the form of the W3C headers.

    Build it with `parse`, `from_bytes` or `from_span_context`: they check; the constructor trusts.
    """

    traceparent: str
    tracestate: str = ""

    @classmethod
    def parse(cls, traceparent: str | None, tracestate: str | None = "") -> Self | None:
        """Read the two headers; a bad traceparent gives None, a bad tracestate alone is left out."""
        if traceparent and _USUAL.fullmatch(traceparent):
            return cls(traceparent, _checked_tracestate(tracestate) if tracestate else "")
        match = _TRACEPARENT.fullmatch(traceparent or "")
        if match is None:
            return None
        version, trace, span, flags, more = match.groups()
        if version == "ff" or (version == "00" and more) or trace == "0" * 32 or span == "0" * 16:
            return None
        known = int(flags, 16) & _FLAGS_KNOWN
        return cls(f"00-{trace}-{span}-{known:02x}", _checked_tracestate(tracestate or ""))

    @classmethod
    def from_bytes(cls, raw: bytes | None, tracestate: str | None = "") -> Self | None:
        """Read the stored form; anything but 25 bytes with non-zero ids gives None."""
        if raw is None or len(raw) != RAW_BYTES:
            return None
        return cls.parse(f"00-{raw[:16].hex()}-{raw[16:24].hex()}-{raw[24:].hex()}", tracestate)

    @classmethod
    def from_span_context(cls, context: SpanContext) -> Self | None:
        """Take a span's context; None when the span is no real one."""
        if not context.is_valid:
            return None
        flags = int(context.trace_flags) & _FLAGS_KNOWN
        state = context.trace_state.to_header() if context.trace_state else ""
        return cls(f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}", state)

    @property
    def trace_id(self) -> str:
        """32 hex digits."""
        return self.traceparent[3:35]

    @property
    def span_id(self) -> str:
        """16 hex digits."""
        return self.traceparent[36:52]

    @property
    def flags(self) -> int:
        """The trace flags: bit 0 sampled, bit 1 random trace id."""
        return int(self.traceparent[53:55], 16)

    @property
    def sampled(self) -> bool:
        """Whether the one who made this context records its trace."""
        return self.traceparent[54] in SAMPLED_FLAGS

    def to_bytes(self) -> bytes:
        """Return the stored form, 25 bytes; the tracestate is stored beside it."""
        return bytes.fromhex(self.trace_id + self.span_id + self.traceparent[53:55])

    def to_span_context(self, *, is_remote: bool = True) -> SpanContext:
        """Return the API's form of this context."""
        return SpanContext(
            int(self.trace_id, 16),
            int(self.span_id, 16),
            is_remote=is_remote,
            trace_flags=TraceFlags(self.flags),
            trace_state=TraceState.from_header([self.tracestate]) if self.tracestate else None,
        )

    def to_parent(self) -> Context:
        """Return a fresh context in which a span started becomes this one's child."""
        return set_span_in_context(CarriedSpan(self), Context())


class KnownSpan(Span):
    """A span whose context is at hand as we write it."""

    trace: TraceContext


class CarriedSpan(KnownSpan, NonRecordingSpan):
    """A span of elsewhere, or one that is not kept: records nothing, its context is carried on.

    Costs next to nothing: the API's form of the context is made only for who asks.
    """

    def __init__(self, trace: TraceContext) -> None:
        self.trace = trace

    def get_span_context(self) -> SpanContext:
        """Return the context, as the API has it."""
        return self.trace.to_span_context()

    def __repr__(self) -> str:
        """Show the context."""
        return f"CarriedSpan({self.trace.traceparent!r})"


def context_of(span: Span) -> TraceContext | None:
    """Return a span's context; None when it is no real one."""
    return (
        span.trace if isinstance(span, KnownSpan) else TraceContext.from_span_context(span.get_span_context())
    )


@contextmanager
def under(parent: TraceContext | None) -> Iterator[None]:
    """Make spans started inside the block children of *parent*; of whatever is current when it is None."""
    if parent is None:
        yield
        return
    token = otel_context.attach(parent.to_parent())
    try:
        yield
    finally:
        otel_context.detach(token)


def current() -> TraceContext | None:
    """Return the context of the span that is current here, or None outside any."""
    return context_of(get_current_span())


@dataclass(frozen=True, slots=True)
class Child:
    """The attempt continues its event's trace: child of the stored context, and linked to it."""


@dataclass(frozen=True, slots=True)
class Linked:
    """The attempt begins a trace of its own, linked to the stored context and to the attempt before."""

    reason: Literal["retry", "late"]


AttemptRelation = Child | Linked


def attempt_relation(
    created_time: datetime,
    now: datetime,
    attempt_number: int,
    window_s: float = CHILD_WINDOW_S,
) -> AttemptRelation:
    """Decide how an attempt hangs on its event's trace.

    A retry hours later would stretch the trace and inherit a stale sampling decision, so only a first attempt
    inside the window is a child. A creation time ahead of ours (clock skew) counts as inside.

    Args:
        created_time: when the stored context was made, aware.
        now: aware.
        attempt_number: 1 for the first; a replay by an operator is never a first.
        window_s: seconds, inclusive.
    """
    if attempt_number > 1:
        return Linked("retry")
    if (now - created_time).total_seconds() > window_s:
        return Linked("late")
    return Child()


def _checked_tracestate(text: str) -> str:
    if not text or len(text) > TRACESTATE_CHARS_MAX:
        return ""
    members = [member.strip(" \t") for member in text.split(",")]
    members = [member for member in members if member]
    if len(members) > TRACESTATE_MEMBERS_MAX or not all(map(_TRACESTATE_MEMBER.fullmatch, members)):
        return ""
    return ",".join(members)
