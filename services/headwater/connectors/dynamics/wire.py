"""Dataverse's requests built and answers taken apart. Pure: values in, values out.

Source: Dataverse Web API: upsert by alternate key, UpsertMultiple, query data, table definitions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from headwater.connectors.base.errors import ErrorClass, VendorError
from headwater.connectors.base.http import Answer, Content, Request
from headwater.connectors.base.moments import utc_text
from headwater.connectors.base.port import Failed, Found, Outcome, Target, Write, Written
from headwater.connectors.dynamics.batching import Operation
from headwater.connectors.dynamics.errors import error_of_record
from headwater.connectors.dynamics.schema import NUMBERS, TEXTS, TIMES, Column, Table, items_of

BATCH_RECORDS_MAX: Final = 100
"""Records of one upsert; Dataverse takes 1,000 operations, but advises batches of some 100."""
UPSERT_MULTIPLE_MIN: Final = 20
"""New records from which on UpsertMultiple is tried first: its answer costs a read more."""
FILTER_VALUES_MAX: Final = 40
"""Values of one filter: about 3,000 characters of a URL."""
API: Final = "/api/data/v9.2"

_VERSIONS: Final = {"OData-Version": "4.0", "OData-MaxVersion": "4.0"}
_CREATED: Final = 201
_DONE: Final = frozenset({200, 201, 204})
_PARTIAL: Final = VendorError(
    ErrorClass.PARTIAL, "ANSWER_MISCOUNT", "the batch does not answer for this record"
)


def upsert_operation(table: Table, target: Target, write: Write) -> Operation:
    """Return the upsert by alternate key; the key's column is set by it."""
    path = f"{API}/{table.entity_set}({key_text(target.external_id_field, write.external_id)})"
    return _patch(table, target, path, body_of(table, write), {})


def update_operation(table: Table, target: Target, write: Write) -> Operation:
    """Return the update by id, never a create; it claims the record by setting the key's column."""
    path = f"{API}/{table.entity_set}({quote(write.crm_id, safe='-')})"
    body = {**body_of(table, write), target.external_id_field: write.external_id}
    return _patch(table, target, path, body, {"If-Match": "*"})


def upsert_multiple_request(table: Table, target: Target, writes: Sequence[Write]) -> Request:
    """Return the upsert of many by alternate key, all or none of them; answered without ids."""
    targets = [
        {
            **body_of(table, write),
            "@odata.type": f"Microsoft.Dynamics.CRM.{table.name}",
            "@odata.id": f"{table.entity_set}({_key_of(target.external_id_field, write.external_id)})",
        }
        for write in writes
    ]
    path = f"{API}/{table.entity_set}/Microsoft.Dynamics.CRM.UpsertMultiple"
    template = f"{API}/{{set}}/Microsoft.Dynamics.CRM.UpsertMultiple"
    return Request("POST", path, template, "write", body={"Targets": targets})


def query_request(table: Table, columns: Sequence[str], name: str, values: Sequence[str]) -> Request:
    """Return the query for records of which a column has one of *values* (1..40)."""
    literals = [value if name == table.primary_id else _literal(value) for value in values]
    query = {
        "$select": ",".join(dict.fromkeys([table.primary_id, *columns])),
        "$filter": " or ".join(f"{name} eq {literal}" for literal in literals),
    }
    return Request("GET", f"{API}/{table.entity_set}", f"{API}/{{set}}", "read", query=query)


def table_request(name: str) -> Request:
    """Return the query for a table's definition."""
    query = {
        "$select": "MetadataId,LogicalName,SchemaName,EntitySetName,PrimaryNameAttribute,PrimaryIdAttribute",
        "$filter": f"LogicalName eq {_literal(name)}",
    }
    return Request("GET", f"{API}/EntityDefinitions", f"{API}/EntityDefinitions", "read", query=query)


def columns_request(metadata_id: str) -> Request:
    """Return the query for a table's columns."""
    path = f"{API}/EntityDefinitions({metadata_id})/Attributes"
    query = {"$select": "LogicalName,AttributeType,IsValidForCreate,IsValidForUpdate"}
    return Request("GET", path, f"{API}/EntityDefinitions({{id}})/Attributes", "read", query=query)


def keys_request(name: str) -> Request:
    """Return the query for a table's alternate keys."""
    path = f"{API}/EntityDefinitions(LogicalName='{name}')/Keys"
    return Request("GET", path, f"{API}/EntityDefinitions({{name}})/Keys", "read")


def references_request(name: str) -> Request:
    """Return the query for where a table's references lead."""
    path = f"{API}/EntityDefinitions(LogicalName='{name}')/ManyToOneRelationships"
    query = {"$select": "ReferencingEntityNavigationPropertyName,ReferencedEntity"}
    template = f"{API}/EntityDefinitions({{name}})/ManyToOneRelationships"
    return Request("GET", path, template, "read", query=query)


def create_column_request(metadata_id: str, name: str, *, long: bool) -> Request:
    """Return the call that makes a text column."""
    kind, chars = ("Memo", 4_000) if long else ("String", 200)
    body = {
        "@odata.type": f"Microsoft.Dynamics.CRM.{kind}AttributeMetadata",
        "SchemaName": name,
        "DisplayName": _label(name.partition("_")[2] or name),
        "RequiredLevel": {"Value": "None"},
        "MaxLength": chars,
        "FormatName": {"Value": "Text"},
        **({"ImeMode": "Auto"} if long else {"IsPrimaryName": False}),
    }
    path = f"{API}/EntityDefinitions({metadata_id})/Attributes"
    template = f"{API}/EntityDefinitions({{id}})/Attributes"
    return Request("POST", path, template, "write", body=body)


def create_key_request(table: str, column: str) -> Request:
    """Return the call that makes an alternate key of one column; its index is built behind it."""
    name = f"{column}_key"
    label = _label(name)
    shown = {**label, "UserLocalizedLabel": label["LocalizedLabels"][0]}
    body = {"SchemaName": name, "KeyAttributes": [column], "DisplayName": shown}
    path = f"{API}/EntityDefinitions(LogicalName='{table}')/Keys"
    return Request("POST", path, f"{API}/EntityDefinitions({{name}})/Keys", "write", body=body)


def who_am_i_request() -> Request:
    """Return the cheapest call that proves a token."""
    return Request("GET", f"{API}/WhoAmI", f"{API}/WhoAmI", "read")


def tracked_request(path: str, query: Mapping[str, str], limit: int) -> Request:
    """Return a reading call that asks for a delta link."""
    prefer = f"odata.track-changes,odata.maxpagesize={limit}"
    content = Content(make=lambda _token: b"", headers={**_VERSIONS, "Prefer": prefer})
    return Request("GET", path, f"{API}/{{set}}", "read", query=query, content=content)


def body_of(table: Table, write: Write) -> dict[str, Any]:
    """Return the columns of a write as Dataverse takes them, references bound."""
    body = {name: rendered(table.columns.get(name), value) for name, value in write.fields.items()}
    for reference in write.references:
        entity_set = table.sets.get(reference.name, reference.name)
        body[f"{reference.name}@odata.bind"] = f"/{entity_set}({reference.crm_ids[0]})"
    return body


def rendered(column: Column | None, value: Any) -> Any:
    """Return *value* as its column takes it; null clears. What does not fit is left for Dataverse to refuse."""
    if value is None or value == "":
        return None
    kind = column.kind if column else ""
    if kind in TEXTS and not isinstance(value, str):
        return _text(value)
    if kind in NUMBERS and isinstance(value, str):
        return _number(value)
    if kind == "Boolean" and value in ("true", "false"):
        return value == "true"
    return value


def read_value(column: Column | None, value: Any) -> Any:
    """Return a column's value in the type that is written."""
    if column and column.kind in TIMES and isinstance(value, str):
        return utc_text(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None if value == "" else value


def read_outcomes(
    parts: Sequence[Answer], table: Table, target: Target, writes: Sequence[Write]
) -> dict[str, Outcome]:
    """Return the outcome of every write that a batch answers for, by external id.

    What was done is told by the record itself; what was not only by its place, so only where none is missing.
    """
    owners = {write.external_id: write for write in writes}
    outcomes: dict[str, Outcome] = {}
    for part in parts:
        body = part.json()
        held = body.get(target.external_id_field) if isinstance(body, dict) else None
        crm_id = body.get(table.primary_id) if isinstance(body, dict) else None
        if part.status in _DONE and held in owners and crm_id:
            outcomes[str(held)] = Written(str(crm_id), created=part.status == _CREATED)
    if len(parts) == len(writes):
        for write, part in zip(writes, parts, strict=True):
            if part.status not in _DONE:
                outcomes[write.external_id] = Failed(
                    error_of_record(part, write) if part.status else _PARTIAL
                )
    return outcomes


def read_found(body: Any, table: Table, target: Target) -> dict[str, Found]:
    """Return the records of a query by their external id, as it is spelled."""
    found: dict[str, Found] = {}
    for record in items_of(body):
        external_id = str(record.get(target.external_id_field) or "")
        if external_id and record.get(table.primary_id):
            fields = {name: read_value(table.columns.get(name), record.get(name)) for name in target.fields}
            found[external_id] = Found(external_id, str(record[table.primary_id]), fields)
    return found


def key_text(column: str, value: str) -> str:
    """Return an alternate key as it stands in a path."""
    return f"{column}='{quote(value.replace(chr(39), chr(39) * 2), safe=chr(39))}'"


def _key_of(column: str, value: str) -> str:
    return f"{column}={_literal(value)}"


def _literal(value: str) -> str:
    quoted = value.replace("'", "''")
    return f"'{quoted}'"


def _patch(
    table: Table, target: Target, path: str, body: Mapping[str, Any], headers: Mapping[str, str]
) -> Operation:
    shown = f"?$select={table.primary_id},{target.external_id_field}"
    told = {"Prefer": "return=representation"}
    return Operation("PATCH", path + shown, dict(body), {**headers, **told})


def _label(text: str) -> dict[str, Any]:
    kind = "Microsoft.Dynamics.CRM.LocalizedLabel"
    one = {"@odata.type": kind, "Label": text, "LanguageCode": 1033}
    return {"@odata.type": "Microsoft.Dynamics.CRM.Label", "LocalizedLabels": [one]}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(_text(one) for one in value)
    return str(value)


def _number(text: str) -> Any:
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number
