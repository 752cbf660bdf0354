"""What meets a record that is written to Salesforce: flows, processes, workflow rules, Apex triggers, duplicate rules.

Sources: Object Reference (FlowDefinitionView, DuplicateRule, EntityDefinition), Tooling API (ApexTrigger,
WorkflowRule, whose `Metadata` says whether it is active, and only for one rule a query), REST describe. A process
of the Process Builder does not tell its object, so every active one counts. Criteria are not read: what is switched
on may fire.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from headwater.connectors.base.conditions import Automation, AutomationKind, WriteConditions
from headwater.connectors.base.http import Request
from headwater.connectors.salesforce import wire

ROWS_MAX: Final = 200
"""Automations of one kind that are listed: more than anybody could acknowledge by name."""
WORKFLOW_RULES_MAX: Final = 50
"""Workflow rules whose state is asked, one call each; further ones count as active."""

Read = Callable[[Request], Awaitable[Any]]
"""Sends a request and returns the JSON of its answer."""


async def conditions(read: Read, version: str, crm_object: str) -> WriteConditions:
    """Return what meets records of *crm_object*. Raises: CallFailed."""
    named = wire.soql_text(crm_object)
    describe = await read(wire.describe_request(version, crm_object))
    flows = await _rows(read, wire.query_request(version, _flows(named)))
    duplicates = await _rows(read, wire.query_request(version, _duplicate_rules(named)))
    definition = await _rows(read, wire.query_request(version, _definition(named)))
    table = wire.soql_text(str(definition[0]["DurableId"]) if definition else crm_object)
    triggers = await _rows(read, tooling_request(version, _triggers(table)))
    rules = await _workflow_rules(read, version, table)
    return WriteConditions(
        (
            *(Automation(_flow_kind(row), str(row.get("Label") or row.get("ApiName"))) for row in flows),
            *rules,
            *(Automation(AutomationKind.TRIGGER, str(row.get("Name"))) for row in triggers),
            *(Automation(AutomationKind.DUPLICATE_RULE, str(row.get("MasterLabel"))) for row in duplicates),
        ),
        read_required(describe),
    )


def tooling_request(version: str, soql: str) -> Request:
    """Return the first page of a query of the Tooling API."""
    root = "/services/data/{}/tooling/query"
    return Request("GET", root.format(version), root.format("{version}"), "search", query={"q": soql})


def read_required(describe: Any) -> tuple[str, ...]:
    """Return the fields that a new record must have and that Salesforce does not fill by itself."""
    fields = describe.get("fields") if isinstance(describe, dict) else ()
    return tuple(
        str(item.get("name"))
        for item in fields or ()
        if isinstance(item, dict)
        and item.get("createable") is True
        and item.get("nillable") is False
        and item.get("defaultedOnCreate") is not True
    )


async def _workflow_rules(read: Read, version: str, table: str) -> list[Automation]:
    query = f"SELECT Id, Name FROM WorkflowRule WHERE TableEnumOrId = {table} LIMIT {ROWS_MAX}"  # noqa: S608 - SOQL, escaped
    found: list[Automation] = []
    for number, rule in enumerate(await _rows(read, tooling_request(version, query))):
        if number >= WORKFLOW_RULES_MAX or await _is_active(read, version, str(rule.get("Id"))):
            found.append(Automation(AutomationKind.WORKFLOW, str(rule.get("Name"))))
    return found


async def _is_active(read: Read, version: str, rule_id: str) -> bool:
    query = f"SELECT Metadata FROM WorkflowRule WHERE Id = {wire.soql_text(rule_id)}"  # noqa: S608 - SOQL, escaped
    rows = await _rows(read, tooling_request(version, query))
    metadata = rows[0].get("Metadata") if rows else None
    return not isinstance(metadata, dict) or metadata.get("active") is not False


async def _rows(read: Read, request: Request) -> tuple[Mapping[str, Any], ...]:
    return wire.read_page(await read(request)).records


def _flow_kind(row: Mapping[str, Any]) -> AutomationKind:
    return AutomationKind.PROCESS if row.get("ProcessType") == "Workflow" else AutomationKind.FLOW


def _flows(crm_object: str) -> str:
    return (
        "SELECT ApiName, Label, ProcessType FROM FlowDefinitionView WHERE IsActive = true AND "  # noqa: S608 - SOQL, escaped
        "((TriggerType IN ('RecordBeforeSave', 'RecordAfterSave') AND "
        f"TriggerObjectOrEvent.QualifiedApiName = {crm_object}) OR ProcessType = 'Workflow') LIMIT {ROWS_MAX}"
    )


def _duplicate_rules(crm_object: str) -> str:
    where = f"IsActive = true AND SobjectType = {crm_object}"
    return f"SELECT MasterLabel FROM DuplicateRule WHERE {where} LIMIT {ROWS_MAX}"  # noqa: S608 - SOQL, escaped


def _definition(crm_object: str) -> str:
    return f"SELECT DurableId FROM EntityDefinition WHERE QualifiedApiName = {crm_object} LIMIT 1"  # noqa: S608 - SOQL, escaped


def _triggers(table: str) -> str:
    where = f"Status = 'Active' AND TableEnumOrId = {table}"
    return f"SELECT Name FROM ApexTrigger WHERE {where} LIMIT {ROWS_MAX}"  # noqa: S608 - SOQL, escaped
