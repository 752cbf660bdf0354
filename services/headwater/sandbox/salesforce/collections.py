"""Owns Salesforce's sObject Collections: up to 200 rows a call, in order, row by row or all or none."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from headwater.sandbox.call import Answer, Call, route
from headwater.sandbox.salesforce import rows
from headwater.sandbox.salesforce.describe import Sobject, sobject, sobject_in
from headwater.sandbox.salesforce.errors import RowError, in_list, malformed, refusal
from headwater.sandbox.salesforce.ids import full
from headwater.sandbox.salesforce.requests import body_of, key_field, names_in, version_in
from headwater.sandbox.salesforce.rows import LOCKED, Body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headwater.sandbox.desk import Desk
    from headwater.sandbox.salesforce.describe import Field

ROWS_MAX = 200
READ_MAX = 2_000
Told = dict[str, Any]

_ROLLED_BACK = RowError(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header",
)


class _AllOrNoneError(Exception):
    """One row failed where all had to succeed; what was written is undone."""

    def __init__(self, told: list[Told | RowError]) -> None:
        super().__init__()
        self.told = told


def _create(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    version_in(params)
    items, whole = _records(call)

    def step(item: Body) -> Told | RowError:
        kind = _kind(item)
        record = rows.insert(desk, kind, item) if isinstance(kind, Sobject) else kind
        return record if isinstance(record, RowError) else _ok(record.record_id)

    return _run(desk, items, step, whole=whole)


def _update(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    version_in(params)
    items, whole = _records(call)

    def step(item: Body) -> Told | RowError:
        kind = _kind(item)
        if not isinstance(kind, Sobject):
            return kind
        record = rows.find(desk, kind, str(item.get("id") or item.get("Id") or ""))
        changed = record if isinstance(record, RowError) else rows.update(desk, kind, record, item)
        return changed if isinstance(changed, RowError) else _ok(changed.record_id)

    return _run(desk, items, step, whole=whole)


def _upsert(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    version_in(params)
    kind = sobject_in(params)
    field = key_field(kind, params["field"])
    items, whole = _records(call)
    twins = _twins(field, items)

    def step(item: Body) -> Told | RowError:
        value = _value(field, item)
        if value in twins:
            return RowError("DUPLICATE_VALUE", f"Duplicate external id specified: {value}", (field.name,))
        return upsert_row(desk, kind, field, value, item)

    return _run(desk, items, step, whole=whole)


def upsert_row(desk: Desk, kind: Sobject, field: Field, value: Any, item: Body) -> Told | RowError:
    """Update the row that has this value in *field*, or make one."""
    if value is None and field.type != "id":
        return RowError("MISSING_ARGUMENT", f"{field.name} not specified", (field.name,))
    body = {name: one for name, one in item.items() if name.lower() != field.name.lower()}
    if value is None:
        made = rows.insert(desk, kind, body)
        return made if isinstance(made, RowError) else {**_ok(made.record_id), "created": True}
    result = rows.upsert(desk, kind, field, value, body)
    if isinstance(result, list):
        message = f"{field.label}: more than one record found for external id field: [{', '.join(result)}]"
        return RowError("DUPLICATE_EXTERNAL_ID", message, (field.name,))
    if isinstance(result, RowError):
        return result
    return {**_ok(result.record.record_id), "created": result.created}


def _delete(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    version_in(params)
    ids = call.params("ids")
    _within(len(ids), ROWS_MAX)
    items: list[Body] = [{"id": one} for one in ids]

    def step(item: Body) -> Told | RowError:
        kind = rows.kind_by_id(str(item["id"]))
        if kind is None:
            return RowError("MALFORMED_ID", f"malformed id {item['id']}")
        record = rows.delete(desk, kind, str(item["id"]))
        return record if isinstance(record, RowError) else _ok(record.record_id)

    return _run(desk, items, step, whole=call.param("allOrNone").lower() == "true")


def _read(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    version_in(params)
    kind = sobject_in(params)
    if call.method == "POST":
        body = body_of(call)
        ids, wanted = tuple(map(str, body.get("ids") or ())), tuple(map(str, body.get("fields") or ()))
    else:
        ids, wanted = call.params("ids"), call.params("fields")
    _within(len(ids), READ_MAX)
    names = names_in(kind, wanted)
    found = [desk.account.records.live(kind.name, full(one) or one) for one in ids]
    shown = [None if one is None else rows.shown(one, kind, params["version"], names) for one in found]
    return Answer(200, shown)


def _run(
    desk: Desk, items: Sequence[Body], step: Callable[[Body], Told | RowError], *, whole: bool
) -> Answer:
    try:
        with desk.account.database.transaction():
            told = _each(desk, items, step)
            if whole and any(isinstance(one, RowError) for one in told):
                raise _AllOrNoneError(told)  # noqa: TRY301 - leaving the block is what undoes the writes
    except _AllOrNoneError as undone:
        told = [one if isinstance(one, RowError) else _ROLLED_BACK for one in undone.told]
    for item, one in zip(items, told, strict=True):
        if isinstance(one, RowError):
            kind = str((item.get("attributes") or {}).get("type") or "")
            desk.refuse(kind, f"{one.code}: {one.message}", fields=item)
    return Answer(
        200,
        [
            _failed(one, item) if isinstance(one, RowError) else one
            for item, one in zip(items, told, strict=True)
        ],
    )


def _each(
    desk: Desk, items: Sequence[Body], step: Callable[[Body], Told | RowError]
) -> list[Told | RowError]:
    doomed = desk.call.doomed(len(items))
    return [LOCKED if index in doomed else step(item) for index, item in enumerate(items)]


def _records(call: Call) -> tuple[list[Body], bool]:
    body = body_of(call)
    records = body.get("records")
    if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
        raise malformed("The records list is required")
    _within(len(records), ROWS_MAX)
    return records, bool(body.get("allOrNone", False))


def _within(count: int, most: int) -> None:
    if count > most:
        message = f"record limit reached. cannot submit more than {most} records into this call"
        raise refusal(RowError("EXCEEDED_ID_LIMIT", message))


def _kind(item: Body) -> Sobject | RowError:
    name = str((item.get("attributes") or {}).get("type") or "")
    found = sobject(name)
    return (
        found if found is not None else RowError("INVALID_TYPE", f"sObject type '{name}' is not supported.")
    )


def _value(field: Field, item: Body) -> Any:
    return next((value for name, value in item.items() if name.lower() == field.name.lower()), None)


def _twins(field: Field, items: Sequence[Body]) -> set[Any]:
    counts = Counter(_value(field, item) for item in items)
    return {value for value, times in counts.items() if value is not None and times > 1}


def _ok(record_id: str) -> Told:
    return {"id": record_id, "success": True, "errors": []}


def _failed(error: RowError, item: Body) -> Told:
    own = item.get("id")
    told = {"success": False, "errors": [in_list(error)]}
    return {"id": own, **told} if own else told


_PLACE = "/services/data/{version}/composite/sobjects"

ROUTES = (
    route("POST", _PLACE, "collection_create", _create),
    route("PATCH", _PLACE, "collection_update", _update),
    route("DELETE", _PLACE, "collection_delete", _delete),
    route("PATCH", f"{_PLACE}/{{kind}}/{{field}}", "collection_upsert", _upsert),
    route("GET", f"{_PLACE}/{{kind}}", "collection_read", _read),
    route("POST", f"{_PLACE}/{{kind}}", "collection_read", _read),
)
