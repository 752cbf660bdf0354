"""Our own JSON for events: the wire contract's fields, with the payload as a JSON object. Pure; judges no event.

Names as the JSON form of protobuf has them, snake_case or lowerCamelCase; null means "not given". The payload's
bytes are kept as sent.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from headwater.ingest.domain.event import NOBODY, Actor, Arrival, Operation
from headwater.ingest.domain.times import read_rfc3339_us
from headwater.kernel.errors import FieldViolation, InvalidInput

_OPERATIONS: Final = {
    "OPERATION_UNSPECIFIED": 0,
    **{f"OPERATION_{item.name}": int(item) for item in Operation},
    **{item.name: int(item) for item in Operation},
}
_ACTOR_TYPES: Final = ("UNSPECIFIED", "USER", "SERVICE", "EXTERNAL")
_ACTORS: Final = {
    **{f"ACTOR_TYPE_{name}": number for number, name in enumerate(_ACTOR_TYPES)},
    **{name: number for number, name in enumerate(_ACTOR_TYPES)},
}
_LIST = re.compile(rb'\s*\{\s*"events"\s*:')


class _Actor(msgspec.Struct, forbid_unknown_fields=True):
    type: str | int | None = None
    id: str | None = None
    display_name: str | None = None
    displayName: str | None = None  # noqa: N815 - protobuf's JSON name


class _Trace(msgspec.Struct, forbid_unknown_fields=True):
    traceparent: str | None = None
    tracestate: str | None = None


class _Event(msgspec.Struct, forbid_unknown_fields=True):
    """One event; each name that has two spellings has two fields."""

    source: str | None = None
    object: str | None = None
    external_id: str | None = None
    externalId: str | None = None  # noqa: N815 - protobuf's JSON name
    source_version: str | None = None
    sourceVersion: str | None = None  # noqa: N815 - protobuf's JSON name
    event_time: str | None = None
    eventTime: str | None = None  # noqa: N815 - protobuf's JSON name
    operation: str | int | None = None
    payload: msgspec.Raw = msgspec.Raw(b"")
    actor: _Actor | None = None
    request_id: str | None = None
    requestId: str | None = None  # noqa: N815 - protobuf's JSON name
    trace: _Trace | None = None


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    events: list[_Event]


_decode_one = msgspec.json.Decoder(_Event).decode
_decode_many = msgspec.json.Decoder(_Body).decode


def read_events(body: bytes) -> tuple[list[Arrival], bool]:
    """Return the events of a body, and whether it was a list: `{"events": [...]}` rather than one event.

    Raises:
        InvalidInput: it is not JSON of the contract; names where.
    """
    many = _LIST.match(body) is not None
    try:
        events = _decode_many(body).events if many else [_decode_one(body)]
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise misread("body", "contract", str(error)) from error
    return [
        _arrival(event, f"events[{number}]." if many else "") for number, event in enumerate(events)
    ], many


def misread(field: str, rule: str, description: str, value: str = "") -> InvalidInput:
    """Return the refusal of a body that does not say what an event is."""
    broken = FieldViolation(field, value[:128], rule, description)
    return InvalidInput(f"the body cannot be read: {field}: {description}", violations=(broken,))


def _arrival(event: _Event, where: str) -> Arrival:
    trace = event.trace
    payload = bytes(event.payload)
    return Arrival(
        source=event.source or "",
        object=event.object or "",
        external_id=_either(event.external_id, event.externalId, f"{where}external_id"),
        source_version=_either(event.source_version, event.sourceVersion, f"{where}source_version"),
        event_time_us=_time(_either(event.event_time, event.eventTime, f"{where}event_time"), where),
        operation=_number(event.operation, _OPERATIONS, f"{where}operation"),
        payload=b"" if payload == b"null" else payload,
        actor=_actor(event.actor, where) if event.actor else NOBODY,
        request_id=_either(event.request_id, event.requestId, f"{where}request_id"),
        traceparent=(trace.traceparent or "") if trace else "",
        tracestate=(trace.tracestate or "") if trace else "",
    )


def _actor(actor: _Actor, where: str) -> Actor:
    name = _either(actor.display_name, actor.displayName, f"{where}actor.display_name")
    return Actor(_number(actor.type, _ACTORS, f"{where}actor.type"), actor.id or "", name)


def _either(snake: str | None, camel: str | None, field: str) -> str:
    if snake is not None and camel is not None:
        raise misread(field, "one_spelling", "is given in both spellings")
    return snake or camel or ""


def _time(text: str, where: str) -> int | None:
    if not text:
        return None
    time_us = read_rfc3339_us(text)
    if time_us is None:
        rule = "must be RFC 3339 with an offset, as 2026-01-31T12:00:00Z"
        raise misread(f"{where}event_time", "format.datetime", rule, text)
    return time_us


def _number(given: Any, known: dict[str, int], field: str) -> int:
    """Return the number of an enum's name; numbers pass, to be judged where every event's are."""
    if given is None or isinstance(given, int):
        return given or 0
    if given not in known:
        raise misread(field, "allowed", f"must be one of {', '.join(known)}", given)
    return known[given]
