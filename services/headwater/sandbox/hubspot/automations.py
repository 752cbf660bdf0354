"""Owns HubSpot's list of workflows and the schema of an object: what stands in the account's options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headwater.sandbox.automations import PlantedAutomation
from headwater.sandbox.call import Answer, Call, route
from headwater.sandbox.hubspot.errors import invalid
from headwater.sandbox.hubspot.kinds import iso, kind_of
from headwater.sandbox.hubspot.requests import kind_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.desk import Desk

PAGE_USUAL = 100
_FIRST_FLOW = 1_000_001


def _flows(call: Call, desk: Desk, _params: Mapping[str, str]) -> Answer:
    after, limit = call.param("after") or "0", call.param("limit") or str(PAGE_USUAL)
    if not after.isdigit() or not limit.isdigit() or not int(limit):
        raise invalid(desk, "Invalid paging: after and limit must be numbers")
    start, size = int(after), int(limit)
    planted = desk.account.options.automations
    told: dict[str, Any] = {
        "results": [
            _flow(desk, number, item) for number, item in enumerate(planted[start : start + size], start)
        ]
    }
    if start + size < len(planted):
        told["paging"] = {"next": {"after": str(start + size)}}
    return Answer(200, told)


def _flow(desk: Desk, number: int, item: PlantedAutomation) -> dict[str, Any]:
    kind, now = kind_of(item.object), iso(desk.call.now_ms)
    return {
        "id": str(_FIRST_FLOW + number),
        "isEnabled": item.active,
        "flowType": "WORKFLOW",
        "name": item.name,
        "objectTypeId": item.object if kind is None else kind.type_id,
        "revisionId": "1",
        "createdAt": now,
        "updatedAt": now,
    }


def _schema(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind = kind_in(desk, params)
    told = {
        "id": kind.type_id,
        "name": kind.word,
        "objectTypeId": kind.type_id,
        "fullyQualifiedName": kind.word,
        "requiredProperties": list(desk.account.options.required_fields.get(kind.name, ())),
        "archived": False,
    }
    return Answer(200, told)


ROUTES = (
    route("GET", "/automation/v4/flows", "flows", _flows),
    route("GET", "/crm/v3/schemas/{kind}", "schema", _schema),
)
