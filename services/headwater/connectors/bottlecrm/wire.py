"""BottleCRM's requests built and answers taken apart. Pure: values in, values out.

Source: BottleCRM 1.35.0, views of contacts, leads, accounts, opportunities, tasks, custom fields and activities.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from headwater.connectors.base.http import EndpointClass, Request
from headwater.connectors.base.port import Found, Target, Write
from headwater.connectors.bottlecrm.kinds import FieldType, Kind

BATCH_RECORDS_MAX: Final = 20
"""Records of one upsert; each is a call of its own, and one more where it is looked up first."""
LIST_RECORDS_MAX: Final = 200
"""Records of one page of a list; BottleCRM itself has no bound."""
NAMESAKES_MAX: Final = 50
"""Records read to find the one that holds a value: the filter also finds values that merely contain it."""
FEED_MAX: Final = 50
"""Activities that BottleCRM shows at most, the newest first."""
CUSTOM: Final = "custom_fields"
STAMP: Final = "updated_at"

Customs = Mapping[str, FieldType]
"""Custom fields of an object that can be written, by key."""
Record = Mapping[str, Any]

_CUSTOM_TYPES: Final[Mapping[str, FieldType]] = {
    "text": "text",
    "textarea": "text",
    "dropdown": "text",
    "number": "decimal",
    "date": "date",
    "checkbox": "checkbox",
}


def create_request(kind: Kind, body: Mapping[str, Any]) -> Request:
    """Return the call that makes a record."""
    return Request("POST", f"/api/{kind.name}/", f"/api/{kind.name}/", "write", body=body)


def update_request(kind: Kind, crm_id: str, body: Mapping[str, Any]) -> Request:
    """Return the call that changes the named fields of a record."""
    return _of_record("PATCH", kind, crm_id, "write", body)


def record_request(kind: Kind, crm_id: str) -> Request:
    """Return the call for one record by its id."""
    return _of_record("GET", kind, crm_id, "read")


def look_up_request(kind: Kind, key: str, external_id: str) -> Request:
    """Return the call for the records whose custom field *key* is exactly *external_id*, which is not empty."""
    return _list(kind, {f"cf_{key}": external_id, "limit": str(NAMESAKES_MAX)}, "search")


def holders_request(kind: Kind, value: str) -> Request:
    """Return the call for records whose unique field contains *value*."""
    return _list(kind, {kind.unique: value, "limit": str(NAMESAKES_MAX)}, "search")


def page_request(kind: Kind, offset: int, limit: int) -> Request:
    """Return the call for a page of all records, made last (or of the highest id) first."""
    return _list(kind, {"limit": str(limit), "offset": str(offset)}, "read")


def feed_request(kind: Kind) -> Request:
    """Return the call for the newest activities of an object."""
    query = {"entity_type": kind.model, "limit": str(FEED_MAX)}
    return Request("GET", "/api/activities/", "/api/activities/", "read", query=query)


def customs_request(model: str) -> Request:
    """Return the call for the definitions of an object's custom fields."""
    query = {"target_model": model, "include_counts": "false"}
    return Request("GET", "/api/custom-fields/", "/api/custom-fields/", "read", query=query)


def define_request(kind: Kind, key: str, *, long: bool) -> Request:
    """Return the call that makes a custom field of text."""
    body = {
        "target_model": kind.model,
        "key": key,
        "label": key,
        "field_type": "textarea" if long else "text",
        "is_filterable": not long,
    }
    return Request("POST", "/api/custom-fields/", "/api/custom-fields/", "write", body=body)


def read_customs(body: Any) -> tuple[Customs, frozenset[str]]:
    """Return the custom fields that can be written, and the keys of those that were put out of use."""
    rows = body.get("definitions") if isinstance(body, dict) else None
    items = [row for row in rows or () if isinstance(row, dict) and row.get("key")]
    active = {
        str(row["key"]): _CUSTOM_TYPES.get(str(row.get("field_type")), "text")
        for row in items
        if row.get("is_active", True)
    }
    return active, frozenset(str(row["key"]) for row in items) - set(active)


def body_of(kind: Kind, target: Target, write: Write, customs: Customs, held: Record) -> dict[str, Any] | str:
    """Return the body of a write, or the name of a field or reference that BottleCRM does not have.

    Args:
        held: the record as it is; its lists of references are added to, since BottleCRM takes them whole.
    """
    body: dict[str, Any] = {}
    custom: dict[str, Any] = {target.external_id_field: write.external_id}
    for name, value in write.fields.items():
        if name in kind.fields:
            body[name] = _rendered(kind.fields[name], value)
        elif name in customs:
            custom[name] = value
        else:
            return name
    for reference in write.references:
        if reference.name in kind.one:
            body[reference.name] = reference.crm_ids[0]
        elif reference.name in kind.many:
            there = linked(held, reference.name)
            body[reference.name] = [*there, *(crm_id for crm_id in reference.crm_ids if crm_id not in there)]
        else:
            return reference.name
    return {**body, CUSTOM: custom}


def read_id(body: Any) -> str:
    """Return the id in an answer to a create, "" without one: that of tasks has none."""
    return str(body.get("id") or "") if isinstance(body, dict) else ""


def rows_of(kind: Kind, body: Any) -> tuple[tuple[Record, ...], ...]:
    """Return the records of a page, one list for each that BottleCRM makes of the object."""
    return tuple(tuple(_rows(body, path)) for path in kind.lists)


def record_of(body: Any, crm_id: str) -> Record | None:
    """Return the record that an answer to `record_request` is about."""
    values = body.values() if isinstance(body, dict) else ()
    found = [value for value in values if isinstance(value, dict) and value.get("id") == crm_id]
    return found[0] if found else None


def linked(record: Record, reference: str) -> list[str]:
    """Return the ids of a list of references."""
    values = record.get(reference) or ()
    return [str(one.get("id") if isinstance(one, dict) else one) for one in values]


def external_id_of(record: Record, target: Target) -> str:
    """Return the external id that a record holds, "" without one."""
    value = _customs(record).get(target.external_id_field)
    return "" if value is None else str(value)


def read_found(kind: Kind, record: Record, target: Target, customs: Customs) -> Found:
    """Return a record as the port tells it."""
    fields = {name: value_of(kind, record, name, customs) for name in target.fields}
    return Found(external_id_of(record, target), str(record["id"]), fields)


def value_of(kind: Kind, record: Record, name: str, customs: Customs) -> Any:
    """Return a field's value in the type in which it is written; None where it is empty."""
    if name in customs and name not in kind.fields:
        return _typed(customs[name], _customs(record).get(name))
    value = record.get(name)
    if name in kind.references and isinstance(value, dict):
        return value.get("id")
    return _typed(kind.fields.get(name, "text"), value)


def _of_record(
    method: str, kind: Kind, crm_id: str, endpoint_class: EndpointClass, body: Any = None
) -> Request:
    path = f"/api/{kind.name}/{quote(crm_id, safe='')}/"
    return Request(method, path, f"/api/{kind.name}/{{id}}/", endpoint_class, body=body)


def _list(kind: Kind, query: Mapping[str, str], endpoint_class: EndpointClass) -> Request:
    path = f"/api/{kind.name}/"
    return Request("GET", path, path, endpoint_class, query={**kind.extra, **query})


def _rows(body: Any, path: Sequence[str]) -> Iterator[Record]:
    for name in path:
        body = body.get(name) if isinstance(body, dict) else None
    for row in body if isinstance(body, list) else ():
        if isinstance(row, dict) and row.get("id"):
            yield row


def _customs(record: Record) -> Mapping[str, Any]:
    value = record.get(CUSTOM)
    return value if isinstance(value, dict) else {}


def _rendered(kind: FieldType, value: Any) -> Any:
    if kind == "word":
        return "" if value is None else value
    return None if value == "" else value


def _typed(kind: FieldType, value: Any) -> Any:
    if value is None or value == "":
        return None
    if kind in {"decimal", "integer"}:
        try:
            number = float(value)
        except (TypeError, ValueError):
            return value
        return int(number) if number.is_integer() else number
    return value
