"""What meets a record that is written to HubSpot: workflows of its object, and properties it must have.

Sources: Workflows API v4 (`GET /automation/v4/flows`, scope `automation`), Schemas API v3
(`GET /crm/v3/schemas/{objectType}`). The list tells no enrolment criteria, so every workflow of the object that is
switched on counts; action sets are no workflows of their own and enrol nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from headwater.connectors.base.conditions import Automation, AutomationKind, WriteConditions
from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.http import Request

FLOWS_PAGE: Final = 100
FLOW_PAGES_MAX: Final = 30
"""Pages of workflows that are followed: three times what an account may have."""
_FLOWS: Final = "/automation/v4/flows"
_SCHEMAS: Final = "/crm/v3/schemas"

Read = Callable[[Request], Awaitable[Any]]
"""Sends a request and returns the JSON of its answer."""


async def conditions(read: Read, crm_object: str) -> WriteConditions:
    """Return what meets records of *crm_object*. Raises: CallFailed."""
    schema = _mapping(await read(schema_request(crm_object)))
    automations: list[Automation] = []
    after = ""
    for _page in range(FLOW_PAGES_MAX):
        page = _mapping(await read(flows_request(after)))
        automations.extend(read_workflows(page, str(schema.get("objectTypeId"))))
        after = next_page(page)
        if not after:
            return WriteConditions(tuple(automations), read_required(schema))
    message = f"HubSpot has more than {FLOW_PAGES_MAX * FLOWS_PAGE:,} workflows"
    raise CallFailed(VendorError(ErrorClass.FORMAT, "TOO_MANY_WORKFLOWS", message))


def schema_request(crm_object: str) -> Request:
    """Return the call for an object's type and required properties."""
    return Request("GET", f"{_SCHEMAS}/{quote(crm_object, safe='')}", f"{_SCHEMAS}/{{objectType}}", "read")


def flows_request(after: str) -> Request:
    """Return the call for the page of workflows behind *after*."""
    query = {"limit": str(FLOWS_PAGE)} | ({"after": after} if after else {})
    return Request("GET", _FLOWS, _FLOWS, "read", query=query)


def read_workflows(page: Mapping[str, Any], object_type_id: str) -> tuple[Automation, ...]:
    """Return the workflows of one page that are switched on for an object."""
    return tuple(
        Automation(AutomationKind.WORKFLOW, str(flow.get("name") or flow.get("id")))
        for flow in page.get("results") or ()
        if isinstance(flow, dict)
        and flow.get("isEnabled") is True
        and flow.get("flowType") != "ACTION_SET"
        and flow.get("objectTypeId") == object_type_id
    )


def read_required(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the properties that a new record must have."""
    return tuple(str(name) for name in schema.get("requiredProperties") or ())


def next_page(page: Mapping[str, Any]) -> str:
    """Return where the next page begins; empty after the last one."""
    return str(_mapping(_mapping(page.get("paging")).get("next")).get("after") or "")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
