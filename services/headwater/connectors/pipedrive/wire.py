"""Pipedrive's requests built and answers taken apart. Pure: values in, values out.

Source: Pipedrive API v2 (persons, organizations, deals, their fields, itemSearch) and v1 (users, recents).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from headwater.connectors.base.errors import ErrorClass, VendorError
from headwater.connectors.base.http import Request
from headwater.connectors.base.port import Failed, Found, Outcome, Target, Write, Written
from headwater.connectors.pipedrive.fields import CUSTOM, Catalogue, read, rendered
from headwater.connectors.pipedrive.kinds import Kind

BATCH_RECORDS_MAX: Final = 20
"""Records of one upsert; each is a call of its own."""
LIST_RECORDS_MAX: Final = 500
"""Records of one page of a list."""
IDS_MAX: Final = 100
"""Ids of one list by id."""
CUSTOM_KEYS_MAX: Final = 15
"""Custom fields that a list can be narrowed to; with more it is asked for all of them."""

_API: Final = "/api/v2"
_API_V1: Final = "/api/v1"
_UNSAID: Final = VendorError(
    ErrorClass.IN_DOUBT, "NO_ID", "the answer to a write does not say which record it is about"
)


@dataclass(frozen=True, slots=True)
class Listed:
    """One page: its records, and the cursor of the next or ""."""

    records: tuple[Mapping[str, Any], ...]
    cursor: str


def create_request(kind: Kind, body: Mapping[str, Any]) -> Request:
    """Return the call that makes a record."""
    return Request("POST", f"{_API}/{kind.name}", f"{_API}/{kind.name}", "write", body=body)


def update_request(kind: Kind, crm_id: str, body: Mapping[str, Any]) -> Request:
    """Return the call that changes a record."""
    path = f"{_API}/{kind.name}/{quote(crm_id, safe='')}"
    return Request("PATCH", path, f"{_API}/{kind.name}/{{id}}", "write", body=body)


def delete_request(kind: Kind, crm_id: str) -> Request:
    """Return the call that marks a record as deleted, for 30 days."""
    path = f"{_API}/{kind.name}/{quote(crm_id, safe='')}"
    return Request("DELETE", path, f"{_API}/{kind.name}/{{id}}", "write")


def ids_request(kind: Kind, crm_ids: Sequence[str], codes: Sequence[str]) -> Request:
    """Return the call for records by id (1..100); those that are gone are left out of its answer."""
    return _list(kind, {"ids": ",".join(crm_ids), "limit": str(len(crm_ids))}, codes)


def newest_request(kind: Kind, codes: Sequence[str], cursor: str) -> Request:
    """Return the call for a page of all records, made last first: an order that no change disturbs."""
    query = {"sort_by": "id", "sort_direction": "desc", "limit": str(LIST_RECORDS_MAX)}
    return _list(kind, {**query, **({"cursor": cursor} if cursor else {})}, codes)


def changed_request(kind: Kind, since: str, limit: int, codes: Sequence[str], cursor: str) -> Request:
    """Return the call for a page of what changed since a time, the oldest change first."""
    query = {"updated_since": since, "sort_by": "update_time", "sort_direction": "asc", "limit": str(limit)}
    return _list(kind, {**query, **({"cursor": cursor} if cursor else {})}, codes)


def search_request(kind: Kind, code: str, external_id: str) -> Request:
    """Return the search for records whose field is exactly *external_id*; its index may lag behind by seconds."""
    query = {"term": external_id, "entity_type": kind.entity, "match": "exact", "field": code}
    return Request("GET", f"{_API}/itemSearch/field", f"{_API}/itemSearch/field", "search", query=query)


def recents_request(kind: Kind, since: str, start: int, limit: int) -> Request:
    """Return the call for what changed since a time, deleted records among it; API v1, since v2 does not tell them."""
    query = {"since_timestamp": since, "items": kind.entity, "start": str(start), "limit": str(limit)}
    return Request("GET", f"{_API_V1}/recents", f"{_API_V1}/recents", "search", query=query)


def fields_request(kind: Kind, cursor: str) -> Request:
    """Return the call for a page of field definitions."""
    query = {"limit": str(LIST_RECORDS_MAX), **({"cursor": cursor} if cursor else {})}
    path = f"{_API}/{kind.fields_path}"
    return Request("GET", path, path, "read", query=query)


def create_field_request(kind: Kind, name: str, *, long: bool) -> Request:
    """Return the call that makes a custom text field; Pipedrive gives it its key."""
    path = f"{_API}/{kind.fields_path}"
    body = {"field_name": name, "field_type": "text" if long else "varchar"}
    return Request("POST", path, path, "write", body=body)


def me_request() -> Request:
    """Return the cheapest call that proves a token."""
    return Request("GET", f"{_API_V1}/users/me", f"{_API_V1}/users/me", "read")


def body_of(
    target: Target, write: Write, catalogue: Catalogue, held: Mapping[str, Any]
) -> dict[str, Any] | str:
    """Return what a write sends; the name of the first field that Pipedrive does not have instead, as text.

    Args:
        held: the record as it is; {} for a new one.
    """
    body: dict[str, Any] = {}
    custom: dict[str, Any] = {}
    for name, value in {**write.fields, target.external_id_field: write.external_id}.items():
        item = catalogue.get(name)
        if item is None or not item.writable:
            return name
        (custom if item.place == "custom" else body)[item.code] = rendered(item, value, held)
    for reference in write.references:
        if catalogue.get(reference.name) is None:
            return reference.name
        body[reference.name] = _number(reference.crm_ids[0])
    return {**body, **({CUSTOM: custom} if custom else {})}


def replaces_a_list(write: Write, catalogue: Catalogue) -> bool:
    """Tell whether a write sets a part of what Pipedrive takes only whole."""
    found = (catalogue.get(name) for name in write.fields)
    return any(item is not None and item.place == "primary" for item in found)


def codes_sent(write: Write, catalogue: Catalogue) -> dict[str, str]:
    """Return Pipedrive's code of every field of a write, by the policy's name."""
    found = {name: catalogue.get(name) for name in write.fields}
    return {name: item.code for name, item in found.items() if item is not None}


def read_written(body: Any, write: Write, *, created: bool) -> Outcome:
    """Return the outcome of a create or an update."""
    data = body.get("data") if isinstance(body, dict) else None
    crm_id = data.get("id") if isinstance(data, dict) else None
    if crm_id is None and not write.crm_id:
        return Failed(_UNSAID)
    return Written(str(crm_id if crm_id is not None else write.crm_id), created=created)


def read_page(body: Any) -> Listed:
    """Return a page of a list."""
    more = body.get("additional_data") if isinstance(body, dict) else None
    cursor = more.get("next_cursor") if isinstance(more, dict) else None
    return Listed(tuple(_items(body)), str(cursor or ""))


def read_fields(body: Any) -> tuple[list[Mapping[str, Any]], str]:
    """Return a page of field definitions, and the cursor of the next or ""."""
    values = body.get("data") if isinstance(body, dict) else None
    found = values if isinstance(values, list) else []
    return [item for item in found if isinstance(item, dict) and item.get("field_code")], read_page(
        body
    ).cursor


def read_found(record: Mapping[str, Any], target: Target, catalogue: Catalogue) -> Found:
    """Return a record as the port tells it."""
    known = ((name, catalogue.get(name)) for name in target.fields)
    fields = {name: read(item, record) if item else None for name, item in known}
    return Found(external_id_of(record, target, catalogue), str(record["id"]), fields)


def external_id_of(record: Mapping[str, Any], target: Target, catalogue: Catalogue) -> str:
    """Return the external id that a record holds, "" without one."""
    item = catalogue.get(target.external_id_field)
    value = read(item, record) if item else None
    return "" if value is None else str(value)


def _list(kind: Kind, query: Mapping[str, str], codes: Sequence[str]) -> Request:
    narrowed = {"custom_fields": ",".join(codes)} if 0 < len(codes) <= CUSTOM_KEYS_MAX else {}
    path = f"{_API}/{kind.name}"
    return Request("GET", path, path, "read", query={**query, **narrowed})


def _items(body: Any) -> Iterator[Mapping[str, Any]]:
    values = body.get("data") if isinstance(body, dict) else None
    for item in values if isinstance(values, list) else ():
        if isinstance(item, dict) and item.get("id") is not None:
            yield item


def _number(text: str) -> Any:
    return int(text) if text.isdigit() else text
