"""Owns the reading of HubSpot requests: object type, body, ids. Refuses in the vendor's words what it cannot read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from headwater.sandbox.hubspot import rules
from headwater.sandbox.hubspot.errors import invalid
from headwater.sandbox.hubspot.kinds import Kind, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.desk import Desk


def kind_in(desk: Desk, params: Mapping[str, str]) -> Kind:
    """The object type that the path names, or the vendor's refusal."""
    kind = kind_of(params["kind"])
    if kind is None:
        raise invalid(desk, f"Unable to infer object type from: {params['kind']}")
    return kind


def body_of(desk: Desk) -> dict[str, Any]:
    """The body as a JSON object, or the vendor's refusal."""
    try:
        body = desk.call.json()
    except msgspec.DecodeError as error:
        raise invalid(desk, f"Invalid input JSON: {error}") from error
    if not isinstance(body, dict):
        raise invalid(desk, "Invalid input JSON: expected an object")
    return body


def properties_in(desk: Desk, item: Mapping[str, Any]) -> dict[str, Any]:
    """The `properties` of a body or of an item of a batch."""
    properties = item.get("properties", {})
    if not isinstance(properties, dict):
        raise invalid(desk, "properties must be an object")
    return properties


def key_property(desk: Desk, kind: Kind, name: str) -> str:
    """A property that may serve as id ("" is the record id), or the vendor's refusal."""
    if name in {"", "hs_object_id", *rules.unique_names(desk.account, kind)}:
        return name
    raise invalid(desk, f"Property '{name}' is not a unique identifier property for {kind.word}")


def whole(desk: Desk, text: str, name: str) -> int:
    """A whole number out of a query or body, or the vendor's refusal."""
    if not text.isdigit():
        raise invalid(desk, f"{name} must be a number, got {text}")
    return int(text)
