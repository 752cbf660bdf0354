"""Salesforce's change events as they are encoded: Avro, with bitmaps of the fields that changed. Reads; no I/O.

A bitmap is hexadecimal, its lowest bit the schema's first field; fields within a compound field come as the place of
that, a dash, and a bitmap of its own.

Source: Change Data Capture Developer Guide (ChangeEventHeader, gap and overflow events); Pub/Sub API, Event Avro schema
and the deserialisation of bitmap fields.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import fastavro
import msgspec

from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.streaming import Heard, Listened

CHANNEL: Final = "/data/"
HEADER: Final = "ChangeEventHeader"
OVERFLOW: Final = "GAP_OVERFLOW"
"""A transaction of more changes than are told one by one: a poll has to."""
WHOLE: Final = frozenset({"CREATE", "UNDELETE", "DELETE"})
"""Changes that concern the whole record, whichever fields they name; those that begin with GAP name none."""
_ID: Final = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Z]{3})?")
_BITMAP: Final = re.compile(r"0x([0-9A-Fa-f]+)")


def topic_of(crm_object: str) -> str:
    """Return the topic of an object's changes: `/data/ContactChangeEvent`, `/data/Visit__ChangeEvent` of `Visit__c`."""
    stem = crm_object.removesuffix("__c")
    return f"{CHANNEL}{stem}{'__' if stem != crm_object else ''}ChangeEvent"


@dataclass(frozen=True, slots=True)
class EventSchema:
    """One Avro schema of change events.

    Args:
        parsed: as the decoder takes it.
        names: of the fields, in order; a compound one with those within it, in order.
    """

    parsed: Any
    names: tuple[tuple[str, tuple[str, ...]], ...]

    def covers(self, fields: Iterable[str]) -> bool:
        """Tell whether a change of any of *fields* would be told: formulas' and roll-ups' are not."""
        known = {name for name, _ in self.names}
        for name, parts in self.names:
            known.update(_spelled(name, parts))
        return known.issuperset(fields)


@dataclass(frozen=True, slots=True)
class Change:
    """What one event says.

    Args:
        fields: names of fields that changed, those of a compound one and itself; None where all may have.
    """

    crm_object: str
    kind: str
    crm_ids: tuple[str, ...]
    fields: frozenset[str] | None


def schema_of(text: str) -> EventSchema:
    """Return the schema that *text*, JSON, describes.

    Raises: CallFailed when it is none of change events.
    """
    try:
        described = msgspec.json.decode(text)
        parsed = fastavro.parse_schema(described)
        names = tuple((str(item["name"]), _parts(item["type"])) for item in described["fields"])
    except (
        msgspec.DecodeError,
        KeyError,
        TypeError,
        ValueError,
        fastavro.schema.SchemaParseException,
    ) as error:
        raise _unreadable("SCHEMA_UNREADABLE", f"the schema of a change event: {error}") from error
    if HEADER not in {name for name, _ in names}:
        raise _unreadable(
            "SCHEMA_UNREADABLE", f"the schema has no {HEADER}: the topic is not one of change events"
        )
    return EventSchema(parsed, names)


def change_of(payload: bytes, schema: EventSchema) -> Change:
    """Return what an event says.

    Raises: CallFailed when it cannot be read: to step over it silently would lose a change.
    """
    try:
        told: Any = fastavro.schemaless_reader(io.BytesIO(payload), schema.parsed, None)
        header: Mapping[str, Any] = told[HEADER]
        kind, crm_object = str(header["changeType"]), str(header["entityName"])
        crm_ids = tuple(str(item) for item in header["recordIds"])
        changed = _changed(header.get("changedFields") or (), schema)
    except (EOFError, IndexError, KeyError, LookupError, TypeError, ValueError, UnicodeDecodeError) as error:
        raise _unreadable("EVENT_UNREADABLE", f"a change event: {type(error).__name__}: {error}") from error
    partial = kind not in WHOLE and not kind.startswith("GAP_")
    return Change(crm_object, kind, crm_ids, changed if partial and changed else None)


def heard_of(
    changes: Sequence[tuple[Change, EventSchema]], listened: Listened, mark: str, unreadable: int = 0
) -> Heard:
    """Return what events mean to who listens.

    Args:
        unreadable: events that nobody knows the records of: every object has to be polled.
    """
    wanted: dict[tuple[str, str], None] = {}
    missed: set[str] = set(listened.fields) if unreadable else set()
    unread = 0
    for change, schema in changes:
        read = listened.fields.get(change.crm_object)
        if read is None or not _concerns(change, schema, read):
            unread += 1
        elif change.kind == OVERFLOW:
            missed.add(change.crm_object)
        else:
            wanted.update(
                dict.fromkeys((change.crm_object, item) for item in change.crm_ids if _ID.fullmatch(item))
            )
            if not all(_ID.fullmatch(item) for item in change.crm_ids) or not change.crm_ids:
                missed.add(change.crm_object)  # wildcard ids of deletions in bulk
    return Heard(tuple(wanted), frozenset(missed), unread, mark, unreadable)


def _concerns(change: Change, schema: EventSchema, read: frozenset[str]) -> bool:
    if change.fields is None or not schema.covers(read):
        return True
    return not change.fields.isdisjoint(read)


def _parts(kind: Any) -> tuple[str, ...]:
    """Return the names within a compound field; none of a plain one."""
    options = kind if isinstance(kind, list) else [kind]
    records = (one for one in options if isinstance(one, dict) and one.get("type") == "record")
    return tuple(str(item["name"]) for record in records for item in record["fields"])


def _changed(bitmaps: Sequence[str], schema: EventSchema) -> frozenset[str]:
    found: set[str] = set()
    for text in bitmaps:
        place, dash, bits = text.rpartition("-")
        if not dash:
            found.update(_named(bits, [name for name, _ in schema.names]))
            continue
        name, parts = schema.names[int(place)]
        found.update((name, *_spelled(name, _named(bits, parts))))
    return frozenset(found)


def _named(bits: str, names: Sequence[str]) -> list[str]:
    found = _BITMAP.fullmatch(bits)
    if found is None:
        return [bits]  # a plain name: as events that are filtered carry them
    number = int(found.group(1), 16)
    if number >> len(names):
        raise ValueError(f"bitmap {bits} names more than the {len(names)} fields of the schema")
    return [name for place, name in enumerate(names) if number >> place & 1]


def _spelled(compound: str, parts: Sequence[str]) -> Iterator[str]:
    """Yield the REST names of what is within a compound field: `FirstName` of `Name`, `MailingCity` of `MailingAddress`."""
    yield from parts
    yield from (f"{compound.removesuffix('Address')}{part}" for part in parts)


def _unreadable(code: str, message: str) -> CallFailed:
    return CallFailed(VendorError(ErrorClass.FORMAT, code, message[:512]))
