"""CloudEvents 1.0 over HTTP: structured, batched and binary content. Pure; judges no event of ours.

Own reading, because the SDK (cloudevents 2.2) has no batched mode, decodes data that we keep as sent, and calls
itself a work in progress; tests hold this reading to the SDK's writing.

Source: cloudevents/spec 1.0.2: spec.md, formats/json-format.md, bindings/http-protocol-binding.md.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec

from headwater.ingest.domain.cloud_event import CloudEvent
from headwater.ingest.domain.times import read_rfc3339_us
from headwater.ingest.http.json_events import misread

STRUCTURED: Final = "application/cloudevents+json"
BATCHED: Final = "application/cloudevents-batch+json"
PREFIX: Final = "ce-"
VERSION: Final = "1.0"

_REQUIRED: Final = ("specversion", "id", "source", "type")
_NAME = re.compile(r"[a-z0-9]{1,64}", re.ASCII)
_JSON_TYPE = re.compile(r"(?:application|text)/(?:[\w.-]+\+)?json(?:\s*;.*)?", re.ASCII | re.IGNORECASE)
_ESCAPED = re.compile(r"\\(.)")

_decode_one = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_many = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_decode_value = msgspec.json.Decoder(str | bool | int | None).decode
_decode_text = msgspec.json.Decoder(str).decode


def read_structured(body: bytes) -> CloudEvent:
    """Return the event of a body in the JSON format.

    Raises:
        InvalidInput: it is no CloudEvent 1.0; names the attribute.
    """
    try:
        return _event(_decode_one(body), "")
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise misread("body", "cloudevents_json", str(error)) from error


def read_batched(body: bytes) -> list[CloudEvent]:
    """Return the events of a body in the JSON batch format; raises as `read_structured`."""
    try:
        return [_event(item, f"[{number}].") for number, item in enumerate(_decode_many(body))]
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise misread("body", "cloudevents_json_batch", str(error)) from error


def is_binary(headers: Sequence[tuple[str, str]]) -> bool:
    """Tell whether a call is a CloudEvent in binary mode; names are in lower case."""
    return any(name == f"{PREFIX}specversion" for name, _ in headers)


def read_binary(headers: Sequence[tuple[str, str]], body: bytes) -> CloudEvent:
    """Return the event whose attributes are headers and whose data is the body; raises as `read_structured`."""
    attributes: dict[str, str] = {}
    for name, value in headers:
        if name.startswith(PREFIX):
            attribute = name.removeprefix(PREFIX)
            if attribute in attributes:
                raise misread(attribute, "once", "is given twice")
            attributes[attribute] = _header_text(attribute, value)
        elif name == "content-type":
            attributes["datacontenttype"] = value
    _check(attributes, "")
    return CloudEvent(attributes, body)


def _event(members: Mapping[str, msgspec.Raw], where: str) -> CloudEvent:
    attributes: dict[str, str] = {}
    for name, raw in members.items():
        if name not in {"data", "data_base64"}:
            value = _decode_value(raw)
            if value is not None:
                attributes[name] = _text(value)
    _check(attributes, where)
    return CloudEvent(attributes, _data(members, where))


def _data(members: Mapping[str, msgspec.Raw], where: str) -> bytes:
    data, encoded = members.get("data"), members.get("data_base64")
    if data is not None and encoded is not None:
        raise misread(f"{where}data", "one_of", "data and data_base64 exclude each other")
    if encoded is not None:
        try:
            return base64.b64decode(_decode_text(encoded), validate=True)
        except (binascii.Error, ValueError) as error:
            raise misread(f"{where}data_base64", "base64", "must be base64") from error
    return b"" if data is None or bytes(data) == b"null" else bytes(data)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _header_text(name: str, value: str) -> str:
    """Undo the quoting and percent-encoding of a header (HTTP binding, section 3.1.3.2)."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = _ESCAPED.sub(r"\1", value[1:-1])
    try:
        return unquote_to_bytes(value.encode("latin-1")).decode("utf-8")
    except UnicodeError as error:
        raise misread(name, "utf8", "must be percent-encoded UTF-8") from error


def _check(attributes: Mapping[str, str], where: str) -> None:
    for name in _REQUIRED:
        if not attributes.get(name):
            raise misread(f"{where}{name}", "required", "is required of a CloudEvent")
    if attributes["specversion"] != VERSION:
        rule = f"must be {VERSION}"
        raise misread(f"{where}specversion", "allowed", rule, attributes["specversion"])
    for name in attributes:
        if not _NAME.fullmatch(name):
            raise misread(f"{where}{name[:64]}", "attribute_name", "must be lower-case letters and digits")
    if "time" in attributes and read_rfc3339_us(attributes["time"]) is None:
        raise misread(f"{where}time", "format.datetime", "must be RFC 3339", attributes["time"])
    if not _JSON_TYPE.fullmatch(attributes.get("datacontenttype", "application/json")):
        value = attributes["datacontenttype"]
        raise misread(f"{where}datacontenttype", "json", "the data must be JSON", value)
