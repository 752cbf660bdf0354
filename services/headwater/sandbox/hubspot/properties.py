"""Owns HubSpot's property definitions: the shipped ones, and those that an account adds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from headwater.sandbox.call import Answer, Call, route
from headwater.sandbox.hubspot import rules
from headwater.sandbox.hubspot.errors import ItemError, invalid, refusal
from headwater.sandbox.hubspot.kinds import iso, standard_properties
from headwater.sandbox.hubspot.requests import body_of, kind_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.desk import Desk

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,99}$")
_TYPES = {"string", "number", "date", "datetime", "enumeration", "bool", "phone_number"}
_REQUIRED = ("name", "label", "type", "fieldType", "groupName")


def _list(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind = kind_in(desk, params)
    custom = desk.account.custom.get(kind.name, {})
    return Answer(200, {"results": [*standard_properties(kind.name).values(), *custom.values()]})


def _get(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind = kind_in(desk, params)
    found = rules.definition(desk.account, kind, params["name"])
    if found is None:
        gone = ItemError(404, "OBJECT_NOT_FOUND", f'Property "{params["name"]}" does not exist')
        raise refusal(desk, gone)
    return Answer(200, found)


def _create(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind, body = kind_in(desk, params), body_of(desk)
    absent = [name for name in _REQUIRED if not body.get(name)]
    if absent:
        raise invalid(desk, f"Invalid input JSON: Some required fields were not set: [{', '.join(absent)}]")
    name = str(body["name"])
    if not _NAME.match(name) or body["type"] not in _TYPES:
        raise invalid(desk, f'Property "{name}" has an invalid name or type')
    if rules.definition(desk.account, kind, name) is not None:
        raise refusal(desk, ItemError(409, "CONFLICT", f"A property named '{name}' already exists."))
    definition = _definition(desk, body)
    desk.account.add_property(kind.name, name, definition)
    return Answer(201, definition)


def _definition(desk: Desk, body: Mapping[str, Any]) -> dict[str, Any]:
    now = iso(desk.call.now_ms)
    return {
        "updatedAt": now,
        "createdAt": now,
        "name": str(body["name"]),
        "label": str(body["label"]),
        "type": str(body["type"]),
        "fieldType": str(body["fieldType"]),
        "description": str(body.get("description") or ""),
        "groupName": str(body["groupName"]),
        "options": list(body.get("options") or ()),
        "createdUserId": "1",
        "updatedUserId": "1",
        "displayOrder": int(body.get("displayOrder", -1)),
        "calculated": False,
        "externalOptions": False,
        "archived": False,
        "hasUniqueValue": bool(body.get("hasUniqueValue", False)),
        "hidden": bool(body.get("hidden", False)),
        "modificationMetadata": {"archivable": True, "readOnlyDefinition": False, "readOnlyValue": False},
        "formField": bool(body.get("formField", False)),
        "dataSensitivity": "non_sensitive",
    }


ROUTES = (
    route("GET", "/crm/v3/properties/{kind}", "properties", _list),
    route("GET", "/crm/v3/properties/{kind}/{name}", "property", _get),
    route("POST", "/crm/v3/properties/{kind}", "property_create", _create),
)
