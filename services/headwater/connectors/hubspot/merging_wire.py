"""HubSpot's requests and answers about merging. Pure. Source: see `merging`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.http import Request
from headwater.connectors.base.merging import Link, Step
from headwater.connectors.hubspot.wire import ASSOCIATIONS_MAX, render_all

MERGED_IDS: Final = "hs_merged_object_ids"
"""Property of a record with the ids that were merged into it."""

_OBJECTS: Final = "/crm/v3/objects"
_ASSOCIATIONS: Final = "/crm/v4/associations"
_UNREADABLE: Final = VendorError(ErrorClass.PARTIAL, "ANSWER_WITHOUT_ID", "the answer names no record")


def merge(step: Step) -> Request:
    """Return the merge of one record into another."""
    body = {"primaryObjectId": step.crm_id, "objectIdToMerge": step.other_id}
    return _object(step.crm_object, "/merge", "POST", "write", body)


def create(step: Step) -> Request:
    """Return the creation of a record."""
    return _object(step.crm_object, "", "POST", "write", {"properties": render_all(step.fields)})


def change(step: Step) -> Request:
    """Return the change of a record; empty values clear."""
    path = f"{_OBJECTS}/{quote(step.crm_object, safe='')}/{quote(step.crm_id, safe='')}"
    body = {"properties": render_all(step.fields)}
    return Request("PATCH", path, f"{_OBJECTS}/{{objectType}}/{{objectId}}", "write", body=body)


def give_up_address(crm_id: str, address: str) -> Request:
    """Return the call by which a contact loses a second address."""
    path = f"/contacts/v1/secondary-email/{quote(crm_id, safe='')}/email/{quote(address, safe='@')}"
    return Request("DELETE", path, "/contacts/v1/secondary-email/{vid}/email/{email}", "write")


def read_whole(crm_object: str, names: Sequence[str], crm_ids: Sequence[str]) -> Request:
    """Return the read of records by id with these properties."""
    body = {"properties": [*names], "propertiesWithHistory": [], "inputs": [{"id": one} for one in crm_ids]}
    return _object(crm_object, "/batch/read", "POST", "read", body)


def read_by(crm_object: str, key: str, value: str) -> Request:
    """Return the read of a record by a unique property."""
    body = {"idProperty": key, "properties": [key], "propertiesWithHistory": [], "inputs": [{"id": value}]}
    return _object(crm_object, "/batch/read", "POST", "read", body)


def read_ties(crm_object: str, other: str, crm_ids: Sequence[str]) -> Request:
    """Return the read of what records are associated with."""
    return _ties(crm_object, other, "read", "read", [{"id": one} for one in crm_ids])


def tie(crm_object: str, crm_id: str, other: str, links: Sequence[Link]) -> Iterator[Request]:
    """Yield the calls that associate a record, with the types that the associations had."""
    inputs = [
        {"from": {"id": crm_id}, "to": {"id": link.other_id}, "types": [_type(kind) for kind in link.kinds]}
        for link in links
    ]
    for start in range(0, len(inputs), ASSOCIATIONS_MAX):
        yield _ties(crm_object, other, "create", "write", inputs[start : start + ASSOCIATIONS_MAX])


def untie(crm_object: str, crm_id: str, other: str, links: Sequence[Link]) -> Iterator[Request]:
    """Yield the calls that end a record's associations."""
    for start in range(0, len(links), ASSOCIATIONS_MAX):
        ends = [{"id": link.other_id} for link in links[start : start + ASSOCIATIONS_MAX]]
        yield _ties(crm_object, other, "archive", "write", [{"from": {"id": crm_id}, "to": ends}])


def by_object(links: Sequence[Link]) -> dict[str, list[Link]]:
    """Return the links by the object that they lead to."""
    grouped: dict[str, list[Link]] = {}
    for link in links:
        grouped.setdefault(link.name, []).append(link)
    return grouped


def record_id(body: Any) -> str:
    """Return the id of the record that a write answers with. Raises: CallFailed, PARTIAL, when there is none."""
    found = body.get("id") if isinstance(body, dict) else None
    if not found:
        raise CallFailed(_UNREADABLE)
    return str(found)


def first_id(body: Any) -> str:
    """Return the id of the only record of a read; empty when there is none."""
    return next((str(item["id"]) for item in _items(body, "results")), "")


def read_records(body: Any, asked: Sequence[str]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return id and properties of records by the id asked for, which may be one from before a merge."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for item in _items(body, "results"):
        crm_id, properties = str(item["id"]), item.get("properties") or {}
        fields = {name: value for name, value in properties.items() if value not in (None, "")}
        former = str(fields.get(MERGED_IDS, "")).split(";")
        found.update({one: (crm_id, fields) for one in asked if one == crm_id or one in former})
    return found


def read_links(body: Any, other: str) -> Iterator[tuple[str, Link]]:
    """Yield the associations of a read, each with the record that it starts at."""
    for item in _items(body, "results"):
        for end in _items(item, "to"):
            kinds = sorted(f"{one['category']}/{one['typeId']}" for one in _items(end, "associationTypes"))
            yield str(item["from"]["id"]), Link(other, str(end["toObjectId"]), tuple(kinds))


def refusals(body: Any) -> Iterator[Mapping[str, Any]]:
    """Yield what an answer refuses."""
    return _items(body, "errors")


def _type(kind: str) -> dict[str, Any]:
    category, _, number = kind.partition("/")
    return {"associationCategory": category, "associationTypeId": int(number)}


def _object(crm_object: str, verb: str, method: str, endpoint_class: Any, body: Any) -> Request:
    path = f"{_OBJECTS}/{quote(crm_object, safe='')}{verb}"
    return Request(method, path, f"{_OBJECTS}/{{objectType}}{verb}", endpoint_class, body=body)


def _ties(crm_object: str, other: str, verb: str, endpoint_class: Any, inputs: Sequence[Any]) -> Request:
    path = f"{_ASSOCIATIONS}/{quote(crm_object, safe='')}/{quote(other, safe='')}/batch/{verb}"
    template = f"{_ASSOCIATIONS}/{{fromObjectType}}/{{toObjectType}}/batch/{verb}"
    return Request("POST", path, template, endpoint_class, body={"inputs": [*inputs]})


def _items(body: Any, name: str) -> Iterator[Mapping[str, Any]]:
    values = body.get(name) if isinstance(body, dict) else None
    yield from (item for item in values if isinstance(item, dict)) if isinstance(values, list) else ()
