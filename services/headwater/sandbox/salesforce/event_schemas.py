"""Owns the Avro side of change events: each object's schema, made from its describe, and how one change is encoded.

Source: Change Data Capture Developer Guide (ChangeEventHeader, compound fields); Pub/Sub API, Event Avro schema.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import fastavro

from headwater.sandbox.salesforce.describe import sobject, sobjects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headwater.sandbox.salesforce.describe import Field

KINDS = ["CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE", "GAP_OVERFLOW", "SNAPSHOT"]  # fmt: skip
_UNTOLD = frozenset({"Id", "IsDeleted", "SystemModstamp", "LastViewedDate", "LastReferencedDate", "PhotoUrl"})
_NUMBERS = {"int": "int", "double": "double", "currency": "double", "percent": "double", "boolean": "boolean"}
_TIMES = frozenset({"date", "datetime"})


@dataclass(frozen=True, slots=True)
class Schema:
    """One object's schema of change events.

    Args:
        places: of each REST field, where it is: among the fields, and within a compound one or -1.
    """

    schema_id: str
    text: str
    parsed: Any
    names: tuple[str, ...]
    places: Mapping[str, tuple[int, int]]
    widths: Mapping[int, int]


@cache
def schema_of(kind: str) -> Schema:
    """The schema of an object that is there."""
    found = sobjects()[kind]
    fields: list[dict[str, Any]] = [{"name": "ChangeEventHeader", "type": _header()}]
    places: dict[str, tuple[int, int]] = {}
    widths: dict[int, int] = {}
    for field in found.fields.values():
        if field.name in _UNTOLD or field.raw.get("compoundFieldName"):
            continue
        parts = [one for one in found.fields.values() if one.raw.get("compoundFieldName") == field.name]
        if parts:
            widths[len(fields)] = len(parts)
            for place, part in enumerate(parts):
                places[part.name] = (len(fields), place)
        places[field.name] = (len(fields), -1)
        fields.append(
            {"name": field.name, "type": _type(field, parts), "doc": f"Data:{field.type}", "default": None}
        )
    described = {
        "type": "record",
        "name": f"{kind}ChangeEvent",
        "namespace": "com.sforce.eventbus",
        "fields": fields,
    }
    text = json.dumps(described, separators=(",", ":"))
    digest = hashlib.md5(text.encode(), usedforsecurity=False).digest()
    schema_id = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    names = tuple(str(one["name"]) for one in fields)
    return Schema(schema_id, text, fastavro.parse_schema(json.loads(text)), names, places, widths)


def schema_by_id(schema_id: str) -> Schema | None:
    """The schema with this id."""
    return next((one for one in map(schema_of, sobjects()) if one.schema_id == schema_id), None)


def kind_of_topic(topic: str) -> str | None:
    """The object whose changes a topic tells; "" for all; None where there is no such topic."""
    if topic == "/data/ChangeEvents":
        return ""
    stem = topic.removeprefix("/data/").removesuffix("ChangeEvent")
    found = sobject(stem) if topic == f"/data/{stem}ChangeEvent" else None
    return found.name if found else None


def encode(kind: str, header: Mapping[str, Any], changed: Mapping[str, Any]) -> bytes:
    """One event; the fields of *changed* are marked as changed, nulls as nulled."""
    schema, found = schema_of(kind), sobjects()[kind]
    known = {name: value for name, value in changed.items() if name in schema.places}
    update = header["changeType"] == "UPDATE"
    told = {
        **header,
        "changedFields": _bitmaps(schema, list(known)) if update else [],
        "nulledFields": _bitmaps(schema, [name for name, value in known.items() if value is None])
        if update
        else [],
        "diffFields": [],
    }
    event: dict[str, Any] = {"ChangeEventHeader": told}
    for name, value in known.items():
        if value is None:
            continue
        field = found.fields[name]
        compound = field.raw.get("compoundFieldName")
        if compound:
            within = event.setdefault(compound, {})
            if isinstance(within, dict):
                within[_part(compound, name)] = _value(field, value)
        elif name not in event and (schema.places[name][0] not in schema.widths):
            event[name] = _value(field, value)
    written = io.BytesIO()
    fastavro.schemaless_writer(written, schema.parsed, event)
    return written.getvalue()


def _header() -> dict[str, Any]:
    texts = {"type": "array", "items": "string"}
    kinds = {"type": "enum", "name": "ChangeType", "symbols": KINDS}
    plain = {
        "entityName": "string", "recordIds": texts, "changeType": kinds, "changeOrigin": "string",
        "transactionKey": "string", "sequenceNumber": "int", "commitTimestamp": "long", "commitNumber": "long",
        "commitUser": "string", "nulledFields": texts, "diffFields": texts, "changedFields": texts,
    }  # fmt: skip
    fields = [{"name": name, "type": kind} for name, kind in plain.items()]
    return {"type": "record", "name": "ChangeEventHeader", "fields": fields}


def _type(field: Field, parts: Sequence[Field]) -> list[Any]:
    if not parts:
        return ["null", "long" if field.type in _TIMES else _NUMBERS.get(field.type, "string")]
    within = [{"name": _part(field.name, one.name), "type": _type(one, ()), "default": None} for one in parts]
    if field.type == "address":
        return ["null", {"type": "record", "name": field.name, "fields": within}]
    return ["null", "string", {"type": "record", "name": "Switchable_PersonName", "fields": within}]


def _part(compound: str, name: str) -> str:
    return name.removeprefix(compound.removesuffix("Address"))


def _value(field: Field, value: Any) -> Any:
    if field.type in _TIMES:
        moment = datetime.fromisoformat(str(value))
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    kind = _NUMBERS.get(field.type, "string")
    return {"int": int, "double": float, "boolean": bool, "string": str}[kind](value)


def _bitmaps(schema: Schema, names: Sequence[str]) -> list[str]:
    top, nested = 0, dict[int, int]()
    for name in names:
        place, within = schema.places[name]
        if within >= 0:
            nested[place] = nested.get(place, 0) | 1 << within
        elif place not in schema.widths:
            top |= 1 << place
    plain = [f"0x{top:02X}"] if top else []
    return [*plain, *(f"{place}-0x{bits:02X}" for place, bits in sorted(nested.items()))]
