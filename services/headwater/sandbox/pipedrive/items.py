"""Owns Pipedrive's records: one a call, lists by cursor, exact search, recents. No upsert, no unique field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from headwater.sandbox.call import Answer, Call, route
from headwater.sandbox.pipedrive import fields
from headwater.sandbox.pipedrive.errors import invalid, not_there
from headwater.sandbox.pipedrive.kinds import BY_WORD, KINDS, Kind, blank, checked, stamp
from headwater.sandbox.pipedrive.requests import PAGE_MAX, body_of, page_of, whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headwater.sandbox.desk import Desk
    from headwater.sandbox.store.records import Fields, Record

_IDS_MAX: Final = 100
_KEYS_MAX: Final = 15
_ID_DIGITS: Final = 12
_CUSTOM: Final = "custom_fields"
_UPDATED: Final = "update_time"


def create(desk: Desk, kind: Kind, body: Mapping[str, Any]) -> Record:
    """Make a record.

    Raises:
        Refusal: a field is not there or not as it must be.
    """
    values = _values(desk, kind, body)
    if not values.get(kind.required):
        raise invalid(kind.required, "is required")
    now = stamp(desk.call.now_ms)
    whole_record = {**blank(kind), **values, "add_time": now, _UPDATED: now}
    return desk.insert(
        kind.name,
        str(desk.account.records.take_number()),
        whole_record,
        fields.key_fields(desk.account, kind),
    )


def _values(desk: Desk, kind: Kind, body: Mapping[str, Any]) -> Fields:
    """What a body says, custom fields by their keys beside the standard ones."""
    sent = body.get(_CUSTOM, {})
    if not isinstance(sent, dict):
        raise invalid(_CUSTOM, "must be an object")
    known = fields.custom(desk.account, kind)
    values: Fields = {}
    for name, value in body.items():
        if name == _CUSTOM:
            continue
        if name not in kind.standard:
            raise invalid(name, "is not allowed")
        values[name] = checked(name, kind.standard[name], value)
    for key, value in sent.items():
        if key not in known:
            raise invalid(f"{_CUSTOM}.{key}", "is not allowed")
        values[key] = checked(key, str(known[key]["field_type"]), value)
    for name, other in kind.links.items():
        linked = values.get(name)
        if linked is not None and desk.account.records.live(other, str(linked)) is None:
            raise invalid(name, f"{KINDS[other].word} {linked} not found")
    return values


def shown(desk: Desk, kind: Kind, record: Record, keys: Sequence[str] = ()) -> dict[str, Any]:
    """A record as v2 shows it."""
    custom = fields.custom(desk.account, kind)
    standard = {name: value for name, value in record.fields.items() if name not in custom}
    wanted = {key: record.fields.get(key) for key in custom if not keys or key in keys}
    return {"id": int(record.record_id), **standard, "is_deleted": record.archived, _CUSTOM: wanted}


def _live(desk: Desk, kind: Kind, record_id: str) -> Record:
    record = desk.account.records.live(kind.name, record_id)
    if record is None:
        raise not_there(kind.word)
    return record


def _kind(params: Mapping[str, str]) -> Kind:
    return KINDS[params["kind"]]


def _post(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind = _kind(params)
    record = create(desk, kind, body_of(desk))
    return Answer(201, {"success": True, "data": shown(desk, kind, record)})


def _patch(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind = _kind(params)
    old = _live(desk, kind, params["id"])
    values = _values(desk, kind, body_of(desk))
    if kind.required in values and not values[kind.required]:
        raise invalid(kind.required, "is required")
    stamps = {_UPDATED: stamp(call.now_ms)}
    record = desk.update(old, {**old.fields, **values}, fields.key_fields(desk.account, kind), stamps=stamps)
    return Answer(200, {"success": True, "data": shown(desk, kind, record)})


def _delete(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind = _kind(params)
    old = _live(desk, kind, params["id"])
    desk.archive(old, fields.key_fields(desk.account, kind), stamps={_UPDATED: stamp(call.now_ms)})
    return Answer(200, {"success": True, "data": {"id": int(old.record_id)}})


def _get(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind = _kind(params)
    return Answer(200, {"success": True, "data": shown(desk, kind, _live(desk, kind, params["id"]))})


def _list(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind = _kind(params)
    keys = call.params("custom_fields")
    if len(keys) > _KEYS_MAX:
        raise invalid("custom_fields", f"must not have more than {_KEYS_MAX} keys")
    order = call.param("sort_by", "id")
    if order not in {"id", _UPDATED, "add_time"}:
        raise invalid("sort_by", "is not a field to sort by")
    falling = call.param("sort_direction", "asc") == "desc"
    chosen = [record for record in _asked(call, desk, kind) if _changed_since(call, record)]
    keyed = sorted(((_key(record, order), record) for record in chosen), reverse=falling)
    items = [(key, shown(desk, kind, record, keys)) for key, record in keyed]
    return page_of(call, items, falling=falling)


def _asked(call: Call, desk: Desk, kind: Kind) -> list[Record]:
    ids = call.params("ids")
    if len(ids) > _IDS_MAX:
        raise invalid("ids", f"must not have more than {_IDS_MAX} ids")
    if not ids:
        return desk.account.records.scan(kind.name)
    found = (desk.account.records.live(kind.name, one) for one in ids)
    return [record for record in found if record is not None]


def _changed_since(call: Call, record: Record) -> bool:
    since = call.param("updated_since")
    if "." in since:
        raise invalid("updated_since", "is not a valid datetime")
    return str(record.fields[_UPDATED]) >= since


def _key(record: Record, order: str) -> str:
    number = record.record_id.zfill(_ID_DIGITS)
    return number if order == "id" else f"{record.fields[order]}/{number}"


def _search(call: Call, desk: Desk, _params: Mapping[str, str]) -> Answer:
    kind = BY_WORD.get(call.param("entity_type"))
    if kind is None:
        raise invalid("entity_type", "is not a known type")
    if not call.param("term"):
        raise invalid("term", "must not be empty")
    key = call.param("field")
    if key not in fields.custom(desk.account, kind):
        raise invalid("field", "is not a searchable field")
    found = desk.account.records.ids_with(kind.name, key, call.param("term"))
    items = [(one.zfill(_ID_DIGITS), {"id": int(one), key: call.param("term")}) for one in sorted(found)]
    return page_of(call, items)


def _recents(call: Call, desk: Desk, _params: Mapping[str, str]) -> Answer:
    kind = BY_WORD.get(call.param("items"))
    if kind is None:
        raise invalid("items", "is not a known type")
    since = call.param("since_timestamp").replace(" ", "T") + "Z"
    records = [
        record
        for archived in (False, True)
        for record in desk.account.records.scan(kind.name, archived=archived)
        if str(record.fields[_UPDATED]) >= since
    ]
    ordered = sorted({record.record_id: record for record in records}.values(), key=_by_time)
    start, limit = whole(call, "start", 0), min(PAGE_MAX, whole(call, "limit", 100))
    page = ordered[start : start + limit]
    more = len(ordered) > start + limit
    pages = {"start": start, "limit": limit, "more_items_in_collection": more}
    content = {"success": True, "data": [_recent(kind, record) for record in page]}
    return Answer(200, {**content, "additional_data": {"pagination": pages}})


def _by_time(record: Record) -> str:
    return _key(record, _UPDATED)


def _recent(kind: Kind, record: Record) -> dict[str, Any]:
    """A record as v1 shows it: times without a zone, an active flag."""
    time = str(record.fields[_UPDATED]).replace("T", " ").removesuffix("Z")
    inner = {"id": int(record.record_id), "active_flag": not record.archived, "update_time": time}
    return {"item": kind.word, "id": inner["id"], "data": inner}


def _me(call: Call, _desk: Desk, _params: Mapping[str, str]) -> Answer:
    data = {"id": 1, "name": "Sandbox", "company_name": call.account, "company_domain": call.account}
    return Answer(200, {"success": True, "data": data})


_NAMED = f"(?P<kind>{'|'.join(KINDS)})"
ROUTES = (
    route("GET", "/api/v2/itemSearch/field", "search", _search),
    route("GET", "/api/v1/recents", "recents", _recents),
    route("GET", "/api/v1/users/me", "me", _me),
    route("POST", f"/api/v2/{_NAMED}", "create", _post),
    route("GET", f"/api/v2/{_NAMED}", "list", _list),
    route("GET", f"/api/v2/{_NAMED}/{{id}}", "get", _get),
    route("PATCH", f"/api/v2/{_NAMED}/{{id}}", "update", _patch),
    route("DELETE", f"/api/v2/{_NAMED}/{{id}}", "delete", _delete),
)
