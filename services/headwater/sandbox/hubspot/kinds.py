"""Owns what HubSpot's object types are: names, type ids, the properties that every answer shows. Data only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

SOURCE = {
    "hs_object_source": "INTEGRATION",
    "hs_object_source_id": "4169410",
    "hs_object_source_label": "INTEGRATION",
}
"""What HubSpot stamps on records made by an integration (seen in the recordings)."""

PORTAL_ID = 62515
_DEFINED_TIME = "2024-09-12T14:22:56.844Z"


@dataclass(frozen=True, slots=True)
class Kind:
    """One object type."""

    name: str
    word: str
    type_id: str
    shown: tuple[str, ...]
    """Properties of an answer when none are asked for, besides id and times."""
    created: str = "hs_createdate"
    modified: str = "hs_lastmodifieddate"
    echoed: tuple[str, ...] = ()
    """Properties that the answer to a write shows besides those written."""
    unique: tuple[str, ...] = ()

    @property
    def default_properties(self) -> tuple[str, ...]:
        """What an answer shows when the caller names no properties."""
        return (*self.shown, self.created, self.modified, "hs_object_id")


def _kinds() -> tuple[Kind, ...]:
    life = ("hs_pipeline", "lifecyclestage")
    contact = Kind(
        "contacts",
        "CONTACT",
        "0-1",
        ("email", "firstname", "lastname"),
        "createdate",
        "lastmodifieddate",
        ("hs_is_contact", "hs_is_unworked", *life),
        ("email",),
    )
    return (
        contact,
        Kind("companies", "COMPANY", "0-2", ("domain", "name"), "createdate", echoed=life),
        Kind(
            "deals", "DEAL", "0-3", ("amount", "closedate", "dealname", "dealstage", "pipeline"), "createdate"
        ),
        Kind("leads", "LEAD", "0-136", ()),
        Kind("emails", "EMAIL", "0-49", ()),
        Kind("calls", "CALL", "0-48", ()),
        Kind("meetings", "MEETING_EVENT", "0-47", ()),
        Kind("notes", "NOTE", "0-46", ()),
        Kind("tasks", "TASK", "0-27", ()),
    )


KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _kinds()}
_ALIASES: Mapping[str, str] = {
    **{kind.type_id: kind.name for kind in KINDS.values()},
    **{kind.word.lower(): kind.name for kind in KINDS.values()},
    **{kind.name.removesuffix("s"): kind.name for kind in KINDS.values()},
    "company": "companies",
}


def kind_of(name: str) -> Kind | None:
    """The object type by its plural, singular or type id."""
    folded = name.lower()
    return KINDS.get(_ALIASES.get(folded, folded))


@cache
def standard_properties(kind: str) -> Mapping[str, Mapping[str, Any]]:
    """The shipped property definitions of an object, in the vendor's full shape."""
    text = (
        resources.files("headwater.sandbox.data")
        .joinpath("hubspot_properties.json")
        .read_text(encoding="utf-8")
    )
    return {slim["name"]: _full(slim) for slim in json.loads(text)[kind]}


def _full(slim: dict[str, Any]) -> dict[str, Any]:
    read_only = slim.pop("readOnly", False)
    return {
        "updatedAt": _DEFINED_TIME,
        "createdAt": _DEFINED_TIME,
        "description": "",
        "options": [],
        "displayOrder": -1,
        "calculated": False,
        "externalOptions": False,
        "hasUniqueValue": False,
        "hidden": False,
        "hubspotDefined": True,
        "modificationMetadata": {"archivable": True, "readOnlyDefinition": True, "readOnlyValue": read_only},
        "formField": False,
        "dataSensitivity": "non_sensitive",
        **slim,
    }


@lru_cache(maxsize=4096)
def iso(time_ms: int) -> str:
    """Milliseconds since the epoch in HubSpot's form, `2024-10-20T19:50:47.612Z`."""
    moment = datetime.fromtimestamp(time_ms // 1000, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"
