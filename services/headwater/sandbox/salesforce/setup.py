"""Owns an org's setup as queries see it: flows, rules and triggers that stand in the account's options.

FlowDefinitionView, DuplicateRule and EntityDefinition are asked by `query`, ApexTrigger and WorkflowRule by the
Tooling API. A table of the one is no table of the other, as in Salesforce.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headwater.sandbox.call import Answer, Call, route
from headwater.sandbox.salesforce import soql
from headwater.sandbox.salesforce.describe import sobjects
from headwater.sandbox.salesforce.errors import RowError, refusal
from headwater.sandbox.salesforce.requests import version_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headwater.sandbox.automations import PlantedAutomation
    from headwater.sandbox.desk import Desk

    Table = Callable[[Sequence[PlantedAutomation]], list[dict[str, Any]]]

Row = dict[str, Any]

_RULE_ID = "01Q{:012d}AAA"


def knows(source: str) -> bool:
    """Whether `query` is asked for setup rather than for records."""
    return source.lower() in _DATA


def answer(desk: Desk, query: soql.Query) -> Answer:
    """The rows of a setup table of the data API.

    Raises:
        SoqlError: a column is not there.
    """
    return _answer(_DATA[query.source.lower()](desk.account.options.automations), query)


def _tooling(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    version_in(params)
    try:
        query = soql.parse(call.param("q"))
        return _answer(_tooling_table(query.source)(desk.account.options.automations), query)
    except soql.SoqlError as error:
        raise refusal(error.error) from error


def _tooling_table(source: str) -> Table:
    found = _TOOLING.get(source.lower())
    if found is None:
        raise soql.SoqlError(RowError("INVALID_TYPE", f"sObject type '{source}' is not supported."))
    return found


def _answer(rows: Sequence[Row], query: soql.Query) -> Answer:
    found = [row for row in rows if query.where is None or _holds(query.where, row)]
    last = None if query.limit is None else query.offset + query.limit
    found = found[query.offset : last]
    if "metadata" in {path.lower() for path in query.paths} and len(found) > 1:
        message = "When retrieving results with Metadata or FullName fields, the query qualifications must specify no more than one row for retrieval."
        raise soql.SoqlError(RowError("MALFORMED_QUERY", message))
    told = [{path: _value(row, path) for path in query.paths} for row in found]
    return Answer(200, {"totalSize": len(told), "done": True, "records": told})


def _holds(condition: soql.Condition, row: Row) -> bool:
    if isinstance(condition, soql.Combine):
        if condition.how == "not":
            return not _holds(condition.parts[0], row)
        join = all if condition.how == "and" else any
        return join(_holds(part, row) for part in condition.parts)
    value = _value(row, condition.path)
    if condition.op in {"=", "in"}:
        return value in condition.values
    if condition.op == "!=":
        return value not in condition.values
    raise soql.SoqlError(RowError("MALFORMED_QUERY", f"filter operator '{condition.op}' is not supported"))


def _value(row: Row, path: str) -> Any:
    if path not in row:
        raise soql.SoqlError(RowError("INVALID_FIELD", f"No such column '{path}'"))
    return row[path]


def _flows(planted: Sequence[PlantedAutomation]) -> list[Row]:
    return [
        {
            "ApiName": item.name.replace(" ", "_"),
            "Label": item.name,
            "IsActive": item.active,
            "ProcessType": "Workflow" if item.kind == "process" else "AutoLaunchedFlow",
            "TriggerType": "RecordAfterSave" if item.kind == "flow" else None,
            "TriggerObjectOrEvent.QualifiedApiName": item.object if item.kind == "flow" else None,
        }
        for item in planted
        if item.kind in {"flow", "process"}
    ]


def _duplicate_rules(planted: Sequence[PlantedAutomation]) -> list[Row]:
    return [
        {"MasterLabel": item.name, "SobjectType": item.object, "IsActive": item.active}
        for item in planted
        if item.kind == "duplicate_rule"
    ]


def _definitions(_planted: Sequence[PlantedAutomation]) -> list[Row]:
    return [{"QualifiedApiName": name, "DurableId": name} for name in sobjects()]


def _triggers(planted: Sequence[PlantedAutomation]) -> list[Row]:
    return [
        {
            "Name": item.name,
            "TableEnumOrId": item.object,
            "Status": "Active" if item.active else "Inactive",
        }
        for item in planted
        if item.kind == "trigger"
    ]


def _workflow_rules(planted: Sequence[PlantedAutomation]) -> list[Row]:
    return [
        {
            "Id": _RULE_ID.format(number),
            "Name": item.name,
            "TableEnumOrId": item.object,
            "Metadata": {"active": item.active},
        }
        for number, item in enumerate(planted)
        if item.kind == "workflow"
    ]


_DATA: dict[str, Table] = {
    "flowdefinitionview": _flows,
    "duplicaterule": _duplicate_rules,
    "entitydefinition": _definitions,
}
_TOOLING: dict[str, Table] = {
    "apextrigger": _triggers,
    "workflowrule": _workflow_rules,
}

ROUTES = (route("GET", "/services/data/{version}/tooling/query", "tooling_query", _tooling),)
