"""Owns HubSpot's v4 associations: default types, both directions, idempotent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headwater.sandbox.call import Answer, Call, route
from headwater.sandbox.hubspot.errors import ItemError, invalid, problem
from headwater.sandbox.hubspot.kinds import Kind, iso, kind_of
from headwater.sandbox.hubspot.requests import body_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headwater.sandbox.desk import Desk

INPUTS_MAX = 100
DEFINED = "HUBSPOT_DEFINED"

DEFAULT_TYPES: Mapping[tuple[str, str], int] = {
    ("contacts", "contacts"): 449,
    ("contacts", "companies"): 279,
    ("companies", "contacts"): 280,
    ("companies", "companies"): 450,
    ("deals", "contacts"): 3,
    ("contacts", "deals"): 4,
    ("deals", "companies"): 341,
    ("companies", "deals"): 342,
    ("deals", "deals"): 451,
    ("leads", "contacts"): 578,
    ("contacts", "leads"): 579,
    ("leads", "companies"): 610,
    ("companies", "leads"): 611,
    ("companies", "calls"): 181,
    ("calls", "companies"): 182,
    ("companies", "emails"): 185,
    ("emails", "companies"): 186,
    ("companies", "meetings"): 187,
    ("meetings", "companies"): 188,
    ("companies", "notes"): 189,
    ("notes", "companies"): 190,
    ("companies", "tasks"): 191,
    ("tasks", "companies"): 192,
    ("contacts", "calls"): 193,
    ("calls", "contacts"): 194,
    ("contacts", "emails"): 197,
    ("emails", "contacts"): 198,
    ("contacts", "meetings"): 199,
    ("meetings", "contacts"): 200,
    ("contacts", "notes"): 201,
    ("notes", "contacts"): 202,
    ("contacts", "tasks"): 203,
    ("tasks", "contacts"): 204,
    ("deals", "calls"): 205,
    ("calls", "deals"): 206,
    ("deals", "emails"): 209,
    ("emails", "deals"): 210,
    ("deals", "meetings"): 211,
    ("meetings", "deals"): 212,
    ("deals", "notes"): 213,
    ("notes", "deals"): 214,
    ("deals", "tasks"): 215,
    ("tasks", "deals"): 216,
    ("leads", "calls"): 595,
    ("calls", "leads"): 596,
    ("leads", "emails"): 597,
    ("emails", "leads"): 598,
    ("leads", "meetings"): 599,
    ("meetings", "leads"): 600,
    ("leads", "notes"): 854,
    ("notes", "leads"): 855,
    ("leads", "tasks"): 646,
    ("tasks", "leads"): 647,
}
"""HubSpot's default association type ids per direction (its association type reference)."""

Link = tuple[str, str, int]
"""(object, record id, type id) on the other side."""


def requested(desk: Desk, kind: Kind, wanted: Any) -> list[Link] | ItemError:
    """The links that a create asks for, or why they cannot be made."""
    links: list[Link] = []
    for one in wanted or ():
        other_id = str((one.get("to") or {}).get("id"))
        for spec in one.get("types") or ():
            type_id = int(spec.get("associationTypeId") or 0)
            pair = next((pair for pair, known in DEFAULT_TYPES.items() if known == type_id), None)
            if pair is None or pair[0] != kind.name:
                return ItemError(
                    400, "VALIDATION_ERROR", f"{type_id} is not a valid association type for {kind.word}"
                )
            if desk.account.records.live(pair[1], other_id) is None:
                return ItemError(404, "OBJECT_NOT_FOUND", f"No {pair[1]} with ID {other_id} exists")
            links.append((pair[1], other_id, type_id))
    return links


def keep(desk: Desk, kind: Kind, record_id: str, links: Sequence[Link]) -> None:
    """Relate a record to others, both ways; doing it twice changes nothing."""
    for other, other_id, type_id in links:
        back = DEFAULT_TYPES[other, kind.name]
        key = desk.account.key
        desk.account.database.run(
            "insert_association", key, kind.name, record_id, other, other_id, type_id, DEFINED
        )
        desk.account.database.run(
            "insert_association", key, other, other_id, kind.name, record_id, back, DEFINED
        )


def _associate_default(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    pair, inputs = _pair(desk, params), _inputs(desk)
    results: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for item in inputs:
        ends = _ends(item)
        error = _link(desk, pair, ends)
        if error is None:
            results += _both_ways(pair, ends)
        else:
            errors.append(_told(error, ends))
    return _page(call, results, errors, 200)


def _create(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    pair, inputs = _pair(desk, params), _inputs(desk)
    results: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for item in inputs:
        ends = _ends(item)
        error = _link(desk, pair, ends)
        if error is None:
            results.append(_labels(pair, ends))
        else:
            errors.append(_told(error, ends))
    return _page(call, results, errors, 201)


def _read(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    left, right = _pair(desk, params)
    results: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for item in _inputs(desk):
        record_id = str(item.get("id"))
        rows = desk.account.database.all(
            "list_associations", desk.account.key, left.name, record_id, right.name
        )
        if rows:
            results.append({"from": {"id": record_id}, "to": [_other(row) for row in rows]})
        else:
            errors.append(_lonely(left, right, record_id))
    return _page(call, results, errors, 200)


def _archive(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    """Untie every pair, both ways; pairs that are not tied are none (API v4, batch archive)."""
    left, right = _pair(desk, params)
    for item in _inputs(desk):
        for other in item.get("to") or ():
            ends = (left.name, str((item.get("from") or {}).get("id"))), (right.name, str(other.get("id")))
            for start, end in (ends, ends[::-1]):
                desk.account.database.run("delete_association", desk.account.key, *start, *end)
    return Answer(204)


def _put_default(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    pair = _pair(desk, params)
    ends = params["id"], params["other_id"]
    error = _link(desk, pair, ends)
    if error is not None:
        return problem(desk, error)
    return _page(call, _both_ways(pair, ends), [], 200)


def _link(desk: Desk, pair: tuple[Kind, Kind], ends: tuple[str, str]) -> ItemError | None:
    for kind, record_id in zip(pair, ends, strict=True):
        if desk.account.records.live(kind.name, record_id) is None:
            return ItemError(404, "OBJECT_NOT_FOUND", f"No {kind.word} with ID {record_id} exists")
    keep(desk, pair[0], ends[0], [(pair[1].name, ends[1], DEFAULT_TYPES[pair[0].name, pair[1].name])])
    return None


def _pair(desk: Desk, params: Mapping[str, str]) -> tuple[Kind, Kind]:
    left, right = kind_of(params["kind"]), kind_of(params["other"])
    if left is None or right is None:
        raise invalid(desk, f"Unable to infer object type from: {params['kind']}, {params['other']}")
    if (left.name, right.name) not in DEFAULT_TYPES:
        raise invalid(desk, f"No default association type between {left.word} and {right.word}")
    return left, right


def _inputs(desk: Desk) -> list[dict[str, Any]]:
    inputs = body_of(desk).get("inputs")
    if not isinstance(inputs, list):
        raise invalid(desk, "Invalid input JSON: Some required fields were not set: [inputs]")
    if len(inputs) > INPUTS_MAX:
        raise invalid(desk, f"The maximum number of inputs supported in a batch request is {INPUTS_MAX}")
    return inputs


def _ends(item: Mapping[str, Any]) -> tuple[str, str]:
    return str((item.get("from") or {}).get("id")), str((item.get("to") or {}).get("id"))


def _both_ways(pair: tuple[Kind, Kind], ends: tuple[str, str]) -> list[dict[str, Any]]:
    return [_default(pair, ends), _default((pair[1], pair[0]), (ends[1], ends[0]))]


def _default(pair: tuple[Kind, Kind], ends: tuple[str, str]) -> dict[str, Any]:
    spec = {"associationCategory": DEFINED, "associationTypeId": DEFAULT_TYPES[pair[0].name, pair[1].name]}
    return {"from": {"id": ends[0]}, "to": {"id": ends[1]}, "associationSpec": spec}


def _labels(pair: tuple[Kind, Kind], ends: tuple[str, str]) -> dict[str, Any]:
    return {
        "fromObjectTypeId": pair[0].type_id,
        "fromObjectId": ends[0],
        "toObjectTypeId": pair[1].type_id,
        "toObjectId": ends[1],
        "labels": [],
    }


def _other(row: tuple[Any, ...]) -> dict[str, Any]:
    return {"toObjectId": row[0], "associationTypes": [{"category": row[2], "typeId": row[1], "label": None}]}


def _lonely(left: Kind, right: Kind, record_id: str) -> dict[str, Any]:
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": f"No {right.name} is associated with {left.name} {record_id}.",
        "context": {"fromObjectId": [record_id], "fromObjectType": [left.name], "toObjectType": [right.name]},
    }


def _told(error: ItemError, ends: tuple[str, str]) -> dict[str, Any]:
    context = {"fromObjectId": [ends[0]], "toObjectId": [ends[1]]}
    return {"status": "error", "category": error.category, "message": error.message, "context": context}


def _page(call: Call, results: list[dict[str, Any]], errors: list[dict[str, Any]], status: int) -> Answer:
    now = iso(call.now_ms)
    page: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
    if not errors:
        return Answer(status, page)
    return Answer(207, {**page, "numErrors": len(errors), "errors": errors})


_BATCH = "/crm/v4/associations/{kind}/{other}/batch"

ROUTES = (
    route("POST", f"{_BATCH}/associate/default", "associate", _associate_default),
    route("POST", f"{_BATCH}/create", "associate", _create),
    route("POST", f"{_BATCH}/archive", "disassociate", _archive),
    route("POST", f"{_BATCH}/read", "associations_read", _read),
    route(
        "PUT",
        "/crm/v4/objects/{kind}/{id}/associations/default/{other}/{other_id}",
        "associate",
        _put_default,
    ),
)
