"""From a verified webhook's body to events, as the tenant's policy says where things are. Pure; judges nothing.

What is missing stays empty: the form of an event is judged where every event's is, so that the sender is told
the same whichever door it took.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec

from headwater.connectors.base.webhooks import Notice
from headwater.ingest.domain.event import NOBODY, Arrival, Operation
from headwater.ingest.domain.times import read_time_us
from headwater.kernel.errors import FieldViolation, InvalidInput
from headwater.policy.pointing import FETCH_KEY
from headwater.policy.systems import Webhook

MESSAGE_ID_CHARS_MAX: Final = 100
"""A longer message id is replaced by its digest: with a number behind it must fit a request id of 128."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_POINTER: Final = _encode({FETCH_KEY: True})


@dataclass(frozen=True, slots=True)
class Read:
    """A message's events.

    Args:
        undated: positions of the events whose time is that of receipt, so that a later sending of the same
            message brings another one.
    """

    arrivals: tuple[Arrival, ...]
    undated: frozenset[int] = frozenset()


def read_message(webhook: Webhook, source: str, body: bytes, message_id: str, received_us: int) -> Read:
    """Return the events of a verified message, each with a request id made of the message's.

    Args:
        received_us: microseconds since 1970; the event time where the policy names none.

    Raises:
        InvalidInput: the body is not JSON, or has no events where the policy says.
    """
    items, is_list = _items(webhook, body)
    if len(message_id) > MESSAGE_ID_CHARS_MAX:
        message_id = f"sha256:{sha256(message_id.encode('utf-8', 'replace')).hexdigest()}"
    arrivals = tuple(
        _arrival(
            webhook,
            source,
            item,
            whole=None if is_list else body,
            request_id=f"{message_id}:{number}" if is_list else message_id,
            received_us=received_us,
        )
        for number, item in enumerate(items)
        if _is_wanted(webhook, item)
    )
    undated = frozenset() if webhook.event_time else frozenset(range(len(arrivals)))
    return Read(arrivals, undated)


def read_notices(notices: Sequence[Notice], source: str, objects: Mapping[str, str]) -> Read:
    """Return pointers to the records that a vendor's body names. One sent again is the same event: its time is a part of its key.

    Args:
        objects: by CRM object, what is read of it; of others nothing is recorded.
    """
    return Read(
        tuple(
            Arrival(
                source=source,
                object=objects[notice.crm_object],
                external_id=notice.crm_id,
                source_version="",
                event_time_us=notice.time_us,
                operation=int(Operation.UPSERT),
                payload=_POINTER,
                actor=NOBODY,
                request_id="",
                traceparent="",
                tracestate="",
            )
            for notice in notices
            if notice.crm_object in objects
        )
    )


def decoded(body: bytes) -> Any:
    """Return *body* as JSON. Raises: InvalidInput."""
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise _misread("body", "json", f"must be JSON: {error}") from error


def reach(item: Any, path: str) -> Any:
    """Return what *path* leads to, None when there is nothing; a key that holds dots itself comes first."""
    if not isinstance(item, Mapping):
        return None
    if path in item:
        return item[path]
    current: Any = item
    for part in path.split("."):
        if not isinstance(current, Mapping):
            return None
        current = current.get(part)
    return current


def _items(webhook: Webhook, body: bytes) -> tuple[list[Any], bool]:
    whole = decoded(body)
    found = reach(whole, webhook.events) if webhook.events else whole
    if isinstance(found, list):
        return found, True
    if webhook.events:
        raise _misread(f"body.{webhook.events}", "list", "must be a list of events")
    return [found], False


def _misread(field: str, rule: str, description: str) -> InvalidInput:
    return InvalidInput("the body cannot be read", violations=(FieldViolation(field, "", rule, description),))


def _is_wanted(webhook: Webhook, item: Any) -> bool:
    return all(text(reach(item, path)) in values for path, values in webhook.when.items())


def _arrival(
    webhook: Webhook, source: str, item: Any, *, whole: bytes | None, request_id: str, received_us: int
) -> Arrival:
    time_us: int | None = received_us
    if webhook.event_time:
        time_us = read_time_us(reach(item, webhook.event_time), webhook.event_time_format)
    deleted = bool(webhook.operation) and text(reach(item, webhook.operation)) in webhook.deletes
    return Arrival(
        source=source,
        object=webhook.object or "",
        external_id=text(reach(item, webhook.external_id)),
        source_version=text(reach(item, webhook.source_version)) if webhook.source_version else "",
        event_time_us=time_us,
        operation=int(Operation.DELETE if deleted else Operation.UPSERT),
        payload=b"" if deleted else _payload(webhook, item, whole),
        actor=NOBODY,
        request_id=request_id,
        traceparent="",
        tracestate="",
    )


def _payload(webhook: Webhook, item: Any, whole: bytes | None) -> bytes:
    """Return the record's fields; the sender's own bytes where the event is the whole body."""
    if not webhook.payload:
        return whole if whole is not None else _encode(item)
    found = reach(item, webhook.payload)
    return b"" if found is None else _encode(found)


def text(value: Any) -> str:
    """Return a JSON value where a text is wanted: numbers as written, nothing for null and for containers."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else ""
