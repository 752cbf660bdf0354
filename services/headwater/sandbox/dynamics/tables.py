"""Owns table definitions: shipped columns and custom ones, alternate keys, references."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from headwater.sandbox.call import Answer, Call, route
from headwater.sandbox.dynamics.errors import BAD_PAYLOAD, BAD_REQUEST, NO_RESOURCE, refusal
from headwater.sandbox.dynamics.requests import API, body_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.accounts import Account
    from headwater.sandbox.desk import Desk

MADE: Final = "@key:"
"""Custom definitions whose name begins so are alternate keys."""
_NAMESPACE: Final = uuid.UUID("6f1c2f5e-5f0e-4f63-9d6a-2f1f3c0b7a11")
_REFERENCES: Final[Mapping[str, Mapping[str, str]]] = {
    "contact": {"parentcustomerid_account": "account", "parentcustomerid_contact": "contact"},
    "opportunity": {"parentaccountid": "account", "parentcontactid": "contact"},
    "lead": {"parentaccountid": "account", "parentcontactid": "contact"},
    "task": {"regardingobjectid_contact_task": "contact", "regardingobjectid_account_task": "account"},
    "account": {"parentaccountid": "account", "primarycontactid": "contact"},
}
_OF_ACTIVITIES: Final = {
    "subject": ["String", 200],
    "scheduledend": ["DateTime"],
    "activityid": ["Uniqueidentifier"],
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its attribute type, and its length in characters, 0 where there is none."""

    kind: str
    chars_max: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """One table as it ships."""

    name: str
    entity_set: str
    primary_id: str
    columns: Mapping[str, Column]

    @property
    def metadata_id(self) -> str:
        """The id of its definition."""
        return str(uuid.uuid5(_NAMESPACE, self.name))


@cache
def tables() -> Mapping[str, Table]:
    """The shipped tables by logical name."""
    text = resources.files("headwater.sandbox.data").joinpath("dataverse_columns.json").read_text("utf-8")
    return {name: _table(name, item) for name, item in json.loads(text).items()}


@cache
def by_set() -> Mapping[str, Table]:
    """The shipped tables by entity set."""
    return {table.entity_set: table for table in tables().values()}


def columns_of(account: Account, table: Table) -> dict[str, Column]:
    """Every column of a table in an account."""
    custom = account.custom.get(table.name, {})
    made = {
        name: Column(one["kind"], one["chars_max"])
        for name, one in custom.items()
        if not name.startswith(MADE)
    }
    return {**table.columns, **made}


def keys_of(account: Account, table: Table) -> tuple[str, ...]:
    """The columns that are alternate keys."""
    custom = account.custom.get(table.name, {})
    return tuple(name.removeprefix(MADE) for name in custom if name.startswith(MADE))


def references_of(table: Table) -> Mapping[str, str]:
    """Navigation property to the table that it leads to."""
    return _REFERENCES[table.name]


def _table(name: str, item: Mapping[str, Any]) -> Table:
    primary_id = "activityid" if name == "task" else f"{name}id"
    shipped = {**(_OF_ACTIVITIES if name == "task" else {}), **item["columns"]}
    columns = {column: Column(*(form[:2] if len(form) > 1 else form)) for column, form in shipped.items()}
    times = dict.fromkeys(("createdon", "modifiedon"), Column("DateTime"))
    return Table(name, item["set"], primary_id, {**columns, **times, primary_id: Column("Uniqueidentifier")})


def _definitions(call: Call, _desk: Desk, _params: Mapping[str, str]) -> Answer:
    name = call.param("$filter").removeprefix("LogicalName eq '").removesuffix("'")
    table = tables().get(name)
    found = [] if table is None else [_shown(table)]
    return Answer(200, {"value": found})


def _shown(table: Table) -> dict[str, Any]:
    return {
        "MetadataId": table.metadata_id,
        "LogicalName": table.name,
        "SchemaName": table.name.capitalize(),
        "EntitySetName": table.entity_set,
        "PrimaryIdAttribute": table.primary_id,
        "PrimaryNameAttribute": "fullname",
    }


def _by_id(params: Mapping[str, str]) -> Table:
    found = next((one for one in tables().values() if one.metadata_id == params["id"]), None)
    if found is None:
        raise refusal(404, NO_RESOURCE, f"there is no table {params['id']}")
    return found


def _by_name(params: Mapping[str, str]) -> Table:
    if params["name"] not in tables():
        raise refusal(404, NO_RESOURCE, f"there is no table {params['name']}")
    return tables()[params["name"]]


def _attributes(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    table = _by_id(params)
    read_only = {"createdon", "modifiedon", table.primary_id}
    shown = [
        {
            "LogicalName": name,
            "AttributeType": column.kind,
            "IsValidForCreate": name not in read_only,
            "IsValidForUpdate": name not in read_only,
        }
        for name, column in columns_of(desk.account, table).items()
    ]
    return Answer(200, {"value": shown})


def _create_attribute(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    table, body = _by_id(params), body_of(desk)
    name = str(body.get("SchemaName") or "").lower()
    kind = (
        str(body.get("@odata.type") or "")
        .removeprefix("Microsoft.Dynamics.CRM.")
        .removesuffix("AttributeMetadata")
    )
    if not name or "_" not in name or kind not in {"String", "Memo"}:
        raise refusal(400, BAD_PAYLOAD, "SchemaName needs a prefix; only text columns are made here")
    if name in columns_of(desk.account, table):
        raise refusal(400, BAD_REQUEST, f"An attribute with the specified name {name} already exists")
    made = {"kind": kind, "chars_max": int(body.get("MaxLength") or 100)}
    desk.account.add_property(table.name, name, made)
    return Answer(204)


def _keys(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    table = _by_name(params)
    shown = [
        {"SchemaName": f"{name}_key", "KeyAttributes": [name], "EntityKeyIndexStatus": "Active"}
        for name in keys_of(desk.account, table)
    ]
    return Answer(200, {"value": shown})


def _create_key(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    table, body = _by_name(params), body_of(desk)
    names = body.get("KeyAttributes")
    if not isinstance(names, list) or len(names) != 1 or names[0] not in columns_of(desk.account, table):
        raise refusal(400, BAD_PAYLOAD, "KeyAttributes must name one column of the table")
    desk.account.add_property(table.name, f"{MADE}{names[0]}", {})
    return Answer(204)


def _references(_call: Call, _desk: Desk, params: Mapping[str, str]) -> Answer:
    leads = references_of(_by_name(params))
    shown = [
        {"ReferencingEntityNavigationPropertyName": name, "ReferencedEntity": other}
        for name, other in leads.items()
    ]
    return Answer(200, {"value": shown})


_ID = r"EntityDefinitions\((?P<id>[0-9a-f-]+)\)"
_NAME = r"EntityDefinitions\(LogicalName='(?P<name>\w+)'\)"
ROUTES = (
    route("GET", rf"{API}/EntityDefinitions", "definitions", _definitions),
    route("GET", rf"{API}/{_ID}/Attributes", "attributes", _attributes),
    route("POST", rf"{API}/{_ID}/Attributes", "attribute_create", _create_attribute),
    route("GET", rf"{API}/{_NAME}/Keys", "keys", _keys),
    route("POST", rf"{API}/{_NAME}/Keys", "key_create", _create_key),
    route("GET", rf"{API}/{_NAME}/ManyToOneRelationships", "references", _references),
)
