"""Whom a command is about: an entity id, or a record as source/object/external-id; and fields as people type them. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from headwater.event.v1 import event_pb2
from headwater.kernel.errors import InvalidInput

_REFERENCE_PARTS: Final = 3
Who = Annotated[str, typer.Argument(help="An entity id, or a record as source/object/external-id.")]


def read_who(who: str) -> tuple[str, event_pb2.RecordRef | None]:
    """Return the entity id or the record that *who* names.

    Raises:
        InvalidInput: it is neither.
    """
    try:
        return str(uuid.UUID(who)), None
    except ValueError:
        parts = who.split("/", _REFERENCE_PARTS - 1)
    if len(parts) != _REFERENCE_PARTS or not all(parts):
        raise InvalidInput(f"{who!r} is neither an entity id nor source/object/external-id")
    return "", event_pb2.RecordRef(source=parts[0], object=parts[1], external_id=parts[2])


def read_fields(pairs: Sequence[str]) -> dict[str, str]:
    """Return what FIELD=VALUE pairs say.

    Raises:
        InvalidInput: one has no `=`, or a field comes twice.
    """
    fields: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise InvalidInput(f"{pair!r} is not FIELD=VALUE, as email=ann@firm.io")
        if name.strip() in fields:
            raise InvalidInput(f"{name.strip()!r} is given twice")
        fields[name.strip()] = value
    return fields
