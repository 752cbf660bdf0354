"""The form of an event: what must hold whatever the tenant's policy says. Pure.

Every broken rule is listed at once, with field, value and rule. Sizes follow `event.proto`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from headwater.ingest.domain.depth import PAYLOAD_DEPTH_MAX, too_deep
from headwater.ingest.domain.event import EVENT_OBJECTS, Actor, Arrival, JsonObject, Operation
from headwater.ingest.domain.keys import canonical_payload
from headwater.kernel.errors import FieldViolation
from headwater.kernel.ids import (
    EXTERNAL_ID_CHARS_MAX,
    IDENTITY_OBJECT,
    OWN_SOURCE,
    POLICY_OBJECT,
    REQUEST_ID_CHARS_MAX,
    SLA_OBJECT,
    SOURCE_PATTERN,
    TENANT_PATTERN,
)
from headwater.kernel.telemetry import TraceContext

PAYLOAD_BYTES_MAX: Final = 256 * 1024
SOURCE_VERSION_CHARS_MAX: Final = 255
ACTOR_CHARS_MAX: Final = 255
TRACESTATE_CHARS_MAX: Final = 512
VALUE_CHARS_MAX: Final = 128
"""Length to which values are cut in violations."""

CLOCK_SKEW_DEFAULT_S: Final = 300.0
"""How far ahead the event time of a system without a policy of its own may be."""

RELEASE_PREFIX: Final = "release:"
"""Begins the request ids that releases from quarantine get; producers may not use it."""

_OWN_OBJECTS: Final = frozenset({POLICY_OBJECT, IDENTITY_OBJECT, SLA_OBJECT})
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and halves of surrogate pairs, which no UTF-8 text can hold."""
_ACTOR_KINDS: Final = range(4)
_decode = msgspec.json.Decoder(dict).decode


class WellFormed(msgspec.Struct, frozen=True, gc=False):
    """An arrival of which every rule of form holds, its operation said.

    Args:
        payload: the decoded payload; empty for a delete.
        canonical: the payload in its one spelling, `keys.canonical_payload`; empty for a delete.
    """

    arrival: Arrival
    event_time_us: int
    payload: JsonObject
    canonical: bytes
    trace: TraceContext | None


def check_tenant(tenant_id: str) -> tuple[FieldViolation, ...]:
    """Return the rule that a tenant's name breaks; empty when it is well-formed."""
    if TENANT_PATTERN.fullmatch(tenant_id):
        return ()
    return (_broken("tenant_id", tenant_id, "pattern", "must be 1 to 63 characters of [a-z0-9_-]"),)


def read_envelope(
    arrival: Arrival, *, now_us: int, skew_s: float, releasing: bool = False
) -> WellFormed | tuple[FieldViolation, ...]:
    """Return the event with its payload decoded, or every rule of form that it breaks.

    Args:
        now_us: microseconds since 1970.
        skew_s: how far ahead of *now_us* the event time may be.
        releasing: it comes out of quarantine, and so may carry a request id of ours.
    """
    payload, canonical, faults = _read_payload(arrival)
    trace = TraceContext.parse(arrival.traceparent, arrival.tracestate) if arrival.traceparent else None
    time_us = arrival.event_time_us
    violations = (
        *_name_violations(arrival),
        *_time_violations(time_us, now_us, skew_s),
        *_operation_violations(arrival.operation),
        *faults,
        *actor_violations(arrival.actor, "event.actor"),
        *_request_id_violations(arrival.request_id, releasing=releasing),
        *_trace_violations(arrival, trace),
    )
    if violations or time_us is None:
        return violations
    return WellFormed(_with_operation(arrival), time_us, payload, canonical, trace)


def _with_operation(arrival: Arrival) -> Arrival:
    if arrival.operation:
        return arrival
    return msgspec.structs.replace(arrival, operation=int(Operation.UPSERT))


def _read_payload(arrival: Arrival) -> tuple[JsonObject, bytes, tuple[FieldViolation, ...]]:
    raw = arrival.payload
    if arrival.operation == Operation.DELETE:
        return _no_payload(raw, "empty", "must be empty for a DELETE") if raw else ({}, b"", ())
    if not raw:
        return _no_payload(raw, "required", "must be one JSON object")
    if len(raw) > PAYLOAD_BYTES_MAX:
        return _no_payload(b"", "bytes_max", f"at most {PAYLOAD_BYTES_MAX} bytes, has {len(raw)}")
    try:
        payload = _decode(raw)
        if too_deep(raw, payload):
            return _no_payload(raw, "depth_max", f"must not nest deeper than {PAYLOAD_DEPTH_MAX} levels")
        if b"\\u0000" in raw and _holds_nul(payload):
            return _no_payload(raw, "nul_character", "must not hold the character NUL (\\u0000)")
        return payload, canonical_payload(payload), ()
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        return _no_payload(raw, "json_object", f"must be one JSON object: {error}")


def _no_payload(
    raw: bytes, rule: str, description: str
) -> tuple[JsonObject, bytes, tuple[FieldViolation, ...]]:
    """A payload that is not read field by field may hold anything, secrets too: its size is all that is shown of it."""
    shown = f"{len(raw)} bytes" if raw else ""
    return {}, b"", (_broken("event.payload", shown, rule, description),)


def _holds_nul(value: Any) -> bool:
    """Tell whether any text in a JSON value holds NUL, which no text or jsonb column can keep."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(key) or _holds_nul(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_holds_nul, value))


def record_violations(source: str, object_name: str, external_id: str) -> Iterator[FieldViolation]:
    """Yield the rules of form that the name of a record breaks."""
    yield from _source_violations("record.source", source)
    if object_name not in EVENT_OBJECTS | _OWN_OBJECTS:
        rule = f"must be one of {', '.join(sorted(EVENT_OBJECTS | _OWN_OBJECTS))}"
        yield _broken("record.object", object_name, "allowed", rule)
    yield from text_violations("record.external_id", external_id, EXTERNAL_ID_CHARS_MAX, required=True)


def _source_violations(field: str, source: str) -> Iterator[FieldViolation]:
    if not SOURCE_PATTERN.fullmatch(source):
        rule = "must be 1 to 63 characters of [a-z0-9_.-], the first a letter"
        yield _broken(field, source, "pattern", rule)


def _name_violations(arrival: Arrival) -> Iterator[FieldViolation]:
    yield from _source_violations("event.source", arrival.source)
    if arrival.object in _OWN_OBJECTS:
        if arrival.source != OWN_SOURCE:
            rule = f"{arrival.object!r} is recorded from source {OWN_SOURCE!r} only"
            yield _broken("event.object", arrival.object, "own_object", rule)
        elif arrival.operation == Operation.DELETE:
            yield _broken("event.operation", "DELETE", "own_object", f"{arrival.object!r} is never deleted")
    elif arrival.object not in EVENT_OBJECTS:
        rule = f"must be one of {', '.join(sorted(EVENT_OBJECTS))}"
        yield _broken("event.object", arrival.object, "allowed", rule)
    yield from text_violations("event.external_id", arrival.external_id, EXTERNAL_ID_CHARS_MAX, required=True)
    yield from text_violations("event.source_version", arrival.source_version, SOURCE_VERSION_CHARS_MAX)


def text_violations(
    field: str, text: str, chars_max: int, *, required: bool = False
) -> Iterator[FieldViolation]:
    """Yield the rules that a short text breaks: present, not too long, no control characters."""
    if required and not text:
        yield _broken(field, "", "required", f"must be 1 to {chars_max} characters")
    if len(text) > chars_max:
        yield _broken(field, text, "chars_max", f"at most {chars_max} characters, has {len(text)}")
    if not text.isprintable() and _UNFIT.search(text):
        yield _broken(field, text, "control_characters", "must not hold control characters")


def _time_violations(time_us: int | None, now_us: int, skew_s: float) -> Iterator[FieldViolation]:
    if time_us is None:
        yield _broken("event.event_time", "", "required", "must say when the fact became true in the source")
    elif time_us < 0:
        yield _broken("event.event_time", f"{time_us / 1e6} s", "not_before_1970", "must not lie before 1970")
    elif time_us > now_us + skew_s * 1e6:
        ahead_s = (time_us - now_us) / 1e6
        rule = f"is {ahead_s:.0f} s ahead of the service's clock, at most {skew_s:.0f} s are allowed"
        yield _broken("event.event_time", f"{time_us / 1e6:.6f} s", "clock_skew", rule)


def _operation_violations(operation: int) -> Iterator[FieldViolation]:
    if operation not in {0, *Operation}:
        yield _broken("event.operation", str(operation), "allowed", "must be UPSERT or DELETE")


def actor_violations(actor: Actor, field: str) -> tuple[FieldViolation, ...]:
    """Return the rules that an actor breaks."""
    if actor.kind in _ACTOR_KINDS and not actor.actor_id and not actor.name:
        return ()
    kind = (
        ()
        if actor.kind in _ACTOR_KINDS
        else (_broken(f"{field}.type", str(actor.kind), "allowed", "no such type"),)
    )
    return (
        *kind,
        *text_violations(f"{field}.id", actor.actor_id, ACTOR_CHARS_MAX),
        *text_violations(f"{field}.display_name", actor.name, ACTOR_CHARS_MAX),
    )


def _request_id_violations(request_id: str, *, releasing: bool) -> Iterator[FieldViolation]:
    yield from text_violations("event.request_id", request_id, REQUEST_ID_CHARS_MAX)
    if request_id.startswith(RELEASE_PREFIX) and not releasing:
        rule = f"ids that begin with {RELEASE_PREFIX!r} belong to releases from quarantine"
        yield _broken("event.request_id", request_id, "reserved", rule)


def _trace_violations(arrival: Arrival, trace: TraceContext | None) -> Iterator[FieldViolation]:
    if arrival.traceparent and trace is None:
        rule = "must be 00-<32 hex digits>-<16 hex digits>-<2 hex digits>, ids not all zero"
        yield _broken("event.trace.traceparent", arrival.traceparent, "format.traceparent", rule)
    if len(arrival.tracestate) > TRACESTATE_CHARS_MAX:
        rule = f"at most {TRACESTATE_CHARS_MAX} characters, has {len(arrival.tracestate)}"
        yield _broken("event.trace.tracestate", arrival.tracestate, "chars_max", rule)


def _broken(field: str, value: str, rule: str, description: str) -> FieldViolation:
    return FieldViolation(field, value[:VALUE_CHARS_MAX], rule, description)
