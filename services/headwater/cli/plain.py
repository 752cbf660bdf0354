"""From messages of the wire contract to plain JSON values, as `--json` prints them. Pure."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from headwater.event.v1 import event_pb2


def plain(message: Message) -> dict[str, Any]:
    """Return *message* with field names as in the contract; an event's payload as JSON, not as base64."""
    document = MessageToDict(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
    _unpack_payloads(message, document)
    return document


def payload_of(event: event_pb2.Event) -> Any:
    """Return an event's payload as JSON values; None when it has none."""
    if not event.payload:
        return None
    try:
        return msgspec.json.decode(event.payload)
    except msgspec.DecodeError:
        return event.payload.decode(errors="replace")


def moment(stamp: Timestamp) -> str:
    """Return a moment for people, in UTC; empty when it is not set."""
    if not stamp.seconds and not stamp.nanos:
        return ""
    return f"{stamp.ToDatetime(dt.UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3] + "Z"


def _unpack_payloads(message: Message, document: dict[str, Any]) -> None:
    if isinstance(message, event_pb2.Event):
        document["payload"] = payload_of(message)
        return
    for field, value in message.ListFields():
        if field.message_type is None or field.name not in document:
            continue
        shown = document[field.name]
        if isinstance(shown, list):
            for item, plain_item in zip(value, shown, strict=True):
                _unpack_payloads(item, plain_item)
        elif (
            isinstance(shown, dict)
            and isinstance(value, Message)
            and not field.message_type.GetOptions().map_entry
        ):
            _unpack_payloads(value, shown)
