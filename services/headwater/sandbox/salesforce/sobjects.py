"""Owns Salesforce's single-row endpoints under `sobjects/`, and the list of versions and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headwater.sandbox.call import Answer, Call, Refusal, route
from headwater.sandbox.salesforce import rows
from headwater.sandbox.salesforce.bulk_book import batches_used
from headwater.sandbox.salesforce.describe import sobject, sobject_in
from headwater.sandbox.salesforce.errors import RowError, nothing_there, refusal
from headwater.sandbox.salesforce.requests import body_of, key_field, names_in, version_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.desk import Desk
    from headwater.sandbox.salesforce.describe import Field, Sobject
    from headwater.sandbox.store.records import Record

VERSIONS = range(31, 63)
_TELLS_UPDATES = 46
"""From this version on an upsert that updates answers 200 with a body, before 204."""


def _create(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    version_in(params)
    record = _good(rows.insert(desk, sobject_in(params), body_of(call)))
    place = f"{call.path.rstrip('/')}/{record.record_id}"
    return Answer(201, {"id": record.record_id, "success": True, "errors": []}, {"Location": place})


def _get(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    version_in(params)
    kind = sobject_in(params)
    names = names_in(kind, call.params("fields"))
    record = _good(rows.find(desk, kind, params["id"]))
    return Answer(200, rows.shown(record, kind, params["version"], names))


def _patch(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    version_in(params)
    kind = sobject_in(params)
    record = _good(rows.find(desk, kind, params["id"]))
    _good(rows.update(desk, kind, record, body_of(call)))
    return Answer(204)


def _delete(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    version_in(params)
    _good(rows.delete(desk, sobject_in(params), params["id"]))
    return Answer(204)


def _upsert(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    version, kind, body = version_in(params), sobject_in(params), body_of(call)
    field = key_field(kind, params["field"])
    if any(name.lower() == field.name.lower() for name in body):
        message = f"The {field.name} field should not be specified in the sobject data."
        raise refusal(RowError("INVALID_FIELD", message, (field.name,)))
    result = rows.upsert(desk, kind, field, params["value"], body)
    if isinstance(result, list):
        return _several(kind, params["version"], result)
    if isinstance(result, RowError):
        raise refusal(result)
    told = {"id": result.record.record_id, "success": True, "errors": [], "created": result.created}
    if result.created:
        return Answer(201, told)
    return Answer(200, told) if version >= _TELLS_UPDATES else Answer(204)


def _get_by(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    version_in(params)
    kind = sobject_in(params)
    found = _named(desk, kind, key_field(kind, params["field"]), params)
    if isinstance(found, Answer):
        return found
    return Answer(200, rows.shown(found, kind, params["version"], names_in(kind, call.params("fields"))))


def _delete_by(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    version_in(params)
    kind = sobject_in(params)
    found = _named(desk, kind, key_field(kind, params["field"]), params)
    if isinstance(found, Answer):
        return found
    rows.put_away(desk, kind, found)
    return Answer(204)


def _named(desk: Desk, kind: Sobject, field: Field, params: Mapping[str, str]) -> Record | Answer:
    found = rows.ids_with(desk, kind, field, params["value"])
    if len(found) > 1:
        return _several(kind, params["version"], found)
    if not found:
        raise Refusal(nothing_there(), f"no {kind.name} with {field.name} {params['value']}")
    return _good(rows.find(desk, kind, found[0]))


def _several(kind: Sobject, version: str, found: list[str]) -> Answer:
    return Answer(300, [f"/services/data/{version}/sobjects/{kind.name}/{one}" for one in found])


def _good(result: Record | RowError) -> Record:
    if isinstance(result, RowError):
        raise refusal(result)
    return result


def _versions(_call: Call, _desk: Desk, _params: Mapping[str, str]) -> Answer:
    seasons = ("Spring", "Summer", "Winter")
    listed = []
    for number in VERSIONS:
        year = 14 + (number - 29) // 3 + (1 if seasons[number % 3 - 2] == "Winter" else 0)
        label = f"{seasons[number % 3 - 2]} '{year}"
        listed.append({"label": label, "url": f"/services/data/v{number}.0", "version": f"{number}.0"})
    return Answer(200, listed)


def _resources(_call: Call, _desk: Desk, params: Mapping[str, str]) -> Answer:
    version_in(params)
    place = f"/services/data/{params['version']}"
    names = ("composite", "limits", "query", "queryAll", "sobjects")
    return Answer(200, {name: f"{place}/{name}" for name in names})


def _limits(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    version_in(params)
    most = desk.account.options.calls_daily_max
    left = max(0, most - desk.account.limits.day_used(call.now_ms))
    batches = desk.account.options.bulk_batches_daily_max
    batches_left = max(0, batches - batches_used(desk.account, call.now_ms))
    return Answer(
        200,
        {
            "DailyApiRequests": {"Max": most, "Remaining": left},
            "DailyBulkApiBatches": {"Max": batches, "Remaining": batches_left},
            "DailyBulkV2QueryJobs": {"Max": 10_000, "Remaining": 10_000},
            "DataStorageMB": {"Max": 5, "Remaining": 5},
            "FileStorageMB": {"Max": 20, "Remaining": 20},
        },
    )


def _record_count(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    version_in(params)
    known = [one for one in map(sobject, call.params("sObjects")) if one is not None]
    counts = [{"count": desk.account.records.count(one.name), "name": one.name} for one in known]
    told: list[dict[str, Any]] = [one for one in counts if one["count"]]
    return Answer(200, {"sObjects": told})


_DATA = "/services/data/{version}"
_ROWS = f"{_DATA}/sobjects/{{kind}}"

ROUTES = (
    route("GET", "/services/data", "versions", _versions),
    route("GET", _DATA, "resources", _resources),
    route("GET", f"{_DATA}/limits", "limits", _limits),
    route("GET", f"{_DATA}/limits/recordCount", "limits", _record_count),
    route("POST", _ROWS, "create", _create),
    route("GET", f"{_ROWS}/{{id}}", "get", _get),
    route("PATCH", f"{_ROWS}/{{id}}", "update", _patch),
    route("DELETE", f"{_ROWS}/{{id}}", "delete", _delete),
    route("PATCH", f"{_ROWS}/{{field}}/{{value}}", "upsert", _upsert),
    route("GET", f"{_ROWS}/{{field}}/{{value}}", "get", _get_by),
    route("DELETE", f"{_ROWS}/{{field}}/{{value}}", "delete", _delete_by),
)
