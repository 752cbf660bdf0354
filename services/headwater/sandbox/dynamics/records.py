"""Owns Dataverse's records: upsert by alternate key, update by id, queries, change tracking."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from headwater.sandbox.call import Answer, Call, route
from headwater.sandbox.dynamics import errors
from headwater.sandbox.dynamics.requests import API, alternate_key, body_of, wanted_by
from headwater.sandbox.dynamics.tables import Table, by_set, columns_of, keys_of, references_of, tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.desk import Desk
    from headwater.sandbox.store.records import Fields, Record

_VERSION: Final = "@version"
_BIND: Final = "@odata.bind"
_BOUND: Final = re.compile(r"^/?(\w+)\(([^)]+)\)$")
_NAMESPACE: Final = uuid.UUID("0d0a9bd3-6f0e-4c62-8ad1-55b6b4a6a0c4")
_WHOLE: Final = frozenset({"Integer", "BigInt", "Picklist", "State", "Status"})
_NUMBERS: Final = frozenset({"Decimal", "Double", "Money"})
_TEXTS: Final = frozenset({"String", "Memo"})
_PAGE_MAX: Final = 5_000


def stamp(now_ms: int) -> str:
    """A time as Dataverse writes it: whole seconds."""
    return dt.datetime.fromtimestamp(now_ms // 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def create(desk: Desk, table: Table, body: Mapping[str, Any]) -> Record:
    """Make a record. Raises: Refusal."""
    values = _values(desk, table, body, "")
    number = desk.account.records.take_number()
    record_id = str(uuid.uuid5(_NAMESPACE, f"{desk.account.name}/{number}"))
    now = stamp(desk.call.now_ms)
    kept = {**values, "createdon": now, "modifiedon": now, _VERSION: number}
    return desk.insert(table.name, record_id, kept, keys_of(desk.account, table))


def update(desk: Desk, table: Table, old: Record, body: Mapping[str, Any]) -> Record:
    """Change a record. Raises: Refusal."""
    values = _values(desk, table, body, old.record_id)
    number = desk.account.records.take_number()
    stamps = {"modifiedon": stamp(desk.call.now_ms), _VERSION: number}
    return desk.update(old, {**old.fields, **values}, keys_of(desk.account, table), stamps=stamps)


def _values(desk: Desk, table: Table, body: Mapping[str, Any], own_id: str) -> Fields:
    columns = columns_of(desk.account, table)
    values: Fields = {}
    for name, value in body.items():
        if name.endswith(_BIND):
            values[name.removesuffix(_BIND)] = _bound(desk, table, name.removesuffix(_BIND), value)
        elif name.startswith("@"):
            continue
        elif name not in columns or name in {table.primary_id, "createdon", "modifiedon"}:
            words = f"Invalid property '{name}' was found in entity 'Microsoft.Dynamics.CRM.{table.name}'."
            raise errors.payload(table.entity_set, words)
        else:
            values[name] = _checked(table, name, columns[name].kind, columns[name].chars_max, value)
    for name in keys_of(desk.account, table):
        _check_free(desk, table, name, values.get(name), own_id)
    return values


def _bound(desk: Desk, table: Table, name: str, value: Any) -> str:
    found = _BOUND.match(str(value))
    leads = references_of(table).get(name)
    if found is None or leads is None or by_set().get(found.group(1)) is not tables()[leads]:
        raise errors.payload(table.entity_set, f"Undeclared property '{name}' cannot be bound to {value}.")
    if desk.account.records.live(leads, found.group(2)) is None:
        raise errors.gone(leads, found.group(2))
    return found.group(2)


def _checked(table: Table, name: str, kind: str, chars_max: int, value: Any) -> Any:
    if value is None or value == "":
        return None
    if kind in _TEXTS and not isinstance(value, str):
        raise _no_fit(table, value, "Edm.String")
    if kind in _WHOLE and (isinstance(value, bool) or not isinstance(value, int)):
        raise _no_fit(table, value, "Edm.Int32")
    if kind in _NUMBERS and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise _no_fit(table, value, "Edm.Decimal")
    if kind == "Boolean" and not isinstance(value, bool):
        raise _no_fit(table, value, "Edm.Boolean")
    if kind in _TEXTS and chars_max and len(value) > chars_max:
        words = (
            f"A validation error occurred. The length of the '{name}' attribute of the '{table.name}' entity "
            f"exceeded the maximum allowed length of '{chars_max}'."
        )
        raise errors.refusal(400, errors.TOO_LONG, words)
    return value


def _no_fit(table: Table, value: Any, kind: str) -> Exception:
    words = f"Cannot convert the literal '{value}' to the expected type '{kind}'."
    return errors.payload(table.entity_set, words)


def _check_free(desk: Desk, table: Table, name: str, value: Any, own_id: str) -> None:
    taken = desk.account.records.ids_with(table.name, name, value) if value not in {None, ""} else []
    if any(found != own_id for found in taken):
        words = (
            "A record that has the attribute values already exists. The entity key requires unique values."
        )
        raise errors.refusal(412, errors.KEY_TAKEN, words)


def _found(desk: Desk, table: Table, text: str) -> Record | None:
    key = alternate_key(text)
    if key is None:
        return desk.account.records.live(table.name, text)
    if key[0] not in keys_of(desk.account, table):
        raise errors.refusal(
            400, errors.NO_KEY, f"The specified key attributes are not a defined key: {key[0]}"
        )
    ids = desk.account.records.ids_with(table.name, key[0], key[1])
    return desk.account.records.live(table.name, ids[0]) if ids else None


def upserted(desk: Desk, table: Table, text: str, body: Mapping[str, Any]) -> tuple[Record, bool]:
    """(record, whether it was made) of a PATCH at a key in parentheses."""
    old = _found(desk, table, text)
    if old is not None:
        return update(desk, table, old, body), False
    if desk.call.headers.get("if-match") == "*":
        raise errors.gone(table.name, text)
    key = alternate_key(text)
    keyed = {key[0]: key[1]} if key else {}
    return create(desk, table, {**body, **keyed}), True


def _table(params: Mapping[str, str]) -> Table:
    table = by_set().get(params["set"])
    if table is None:
        raise errors.refusal(
            404, errors.NO_RESOURCE, f"Resource not found for the segment '{params['set']}'."
        )
    return table


def shown(table: Table, record: Record, names: tuple[str, ...]) -> dict[str, Any]:
    """A record with the named columns, or all of them."""
    values = {**record.fields, table.primary_id: record.record_id}
    wanted = dict.fromkeys((*names, table.primary_id)) if names else values
    kept = {name: values.get(name) for name in wanted if name != _VERSION}
    return {"@odata.etag": f'W/"{record.fields[_VERSION]}"', **kept}


def _patch(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    table = _table(params)
    record, made = upserted(desk, table, params["key"], body_of(desk))
    place = {"OData-EntityId": f"{call.base_url}/api/data/v9.2/{table.entity_set}({record.record_id})"}
    if "return=representation" not in call.headers.get("prefer", ""):
        return Answer(204, None, place)
    return Answer(201 if made else 200, shown(table, record, _selected(call, desk, table)), place)


def _post(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    table = _table(params)
    record = create(desk, table, body_of(desk))
    place = {"OData-EntityId": f"{call.base_url}/api/data/v9.2/{table.entity_set}({record.record_id})"}
    return Answer(204, None, place)


def _delete(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    table = _table(params)
    old = _found(desk, table, params["key"])
    if old is None:
        raise errors.gone(table.name, params["key"])
    stamps = {"modifiedon": stamp(call.now_ms), _VERSION: desk.account.records.take_number()}
    desk.archive(old, keys_of(desk.account, table), stamps=stamps)
    return Answer(204)


def _upsert_multiple(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    table = _table(params)
    targets = body_of(desk).get("Targets")
    for item in targets if isinstance(targets, list) else ():
        found = _BOUND.match(str(item.get("@odata.id")))
        if item.get("@odata.type") != f"Microsoft.Dynamics.CRM.{table.name}" or found is None:
            raise errors.payload(table.entity_set, "every target needs @odata.type and @odata.id")
        upserted(desk, table, found.group(2), item)
    return Answer(204)


def _query(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    table = _table(params)
    names = _selected(call, desk, table)
    if "odata.track-changes" in call.headers.get("prefer", "") or call.param("$deltatoken"):
        return _tracked(call, desk, table, names)
    column, values = wanted_by(call.param("$filter"))
    records = desk.account.records
    if column == table.primary_id:
        found = [records.live(table.name, value) for value in values]
    else:
        ids = dict.fromkeys(one for value in values for one in _ids(desk, table, column, value))
        found = [records.live(table.name, one) for one in ids]
    return Answer(200, {"value": [shown(table, one, names) for one in found if one is not None]})


def _ids(desk: Desk, table: Table, column: str, value: str) -> list[str]:
    if column in keys_of(desk.account, table):
        return desk.account.records.ids_with(table.name, column, value)
    scanned = desk.account.records.scan(table.name)
    return [
        one.record_id for one in scanned if str(one.fields.get(column) or "").casefold() == value.casefold()
    ]


def _selected(call: Call, desk: Desk, table: Table) -> tuple[str, ...]:
    names = call.params("$select")
    columns = columns_of(desk.account, table)
    for name in names:
        if name not in columns:
            words = f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{table.name}'."
            raise errors.refusal(400, errors.BAD_REQUEST, words)
    return names


def _tracked(call: Call, desk: Desk, table: Table, names: tuple[str, ...]) -> Answer:
    since = _version_in(call.param("$deltatoken"))
    last, _, until = call.param("$skiptoken").partition(",")
    everyone = {
        one.record_id: one
        for archived in (False, True)
        for one in desk.account.records.scan(table.name, archived=archived)
    }
    newest = max((int(one.fields[_VERSION]) for one in everyone.values()), default=since)
    until_version = int(until) if until else newest
    after = int(last) if last else since
    chosen = sorted(
        (int(one.fields[_VERSION]), one)
        for one in everyone.values()
        if after < int(one.fields[_VERSION]) <= until_version and (since or not one.archived)
    )
    found = re.search(r"odata\.maxpagesize=(\d+)", call.headers.get("prefer", ""))
    size = min(_PAGE_MAX, int(found.group(1)) if found else _PAGE_MAX)
    page = chosen[:size]
    content: dict[str, Any] = {"value": [_told(table, one, names) for _, one in page]}
    place = f"{call.base_url}/api/data/v9.2/{table.entity_set}?$select={','.join(names)}"
    if len(chosen) > size:
        going = f"&$deltatoken={quote(call.param('$deltatoken'))}" if since else ""
        content["@odata.nextLink"] = f"{place}{going}&$skiptoken={page[-1][0]},{until_version}"
    else:
        time = dt.datetime.fromtimestamp(call.now_ms // 1000, dt.UTC).strftime("%m/%d/%Y %H:%M:%S")
        content["@odata.deltaLink"] = f"{place}&$deltatoken={quote(f'{until_version}!{time}')}"
    return Answer(200, content)


def _version_in(token: str) -> int:
    if not token:
        return 0
    version = token.partition("!")[0]
    if not version.isdigit():
        raise errors.refusal(400, errors.DELTA_EXPIRED, "The delta token is expired or unknown.")
    return int(version)


def _told(table: Table, record: Record, names: tuple[str, ...]) -> dict[str, Any]:
    if not record.archived:
        return shown(table, record, names)
    context = f"$metadata#{table.entity_set}/$deletedEntity"
    return {"@odata.context": context, "id": record.record_id, "reason": "deleted"}


def _who(_call: Call, _desk: Desk, _params: Mapping[str, str]) -> Answer:
    ids = {name: str(uuid.uuid5(_NAMESPACE, name)) for name in ("UserId", "BusinessUnitId", "OrganizationId")}
    return Answer(200, ids)


ROUTES = (
    route("GET", rf"{API}/WhoAmI", "who", _who),
    route(
        "POST",
        rf"{API}/{{set}}/Microsoft\.Dynamics\.CRM\.UpsertMultiple",
        "upsert_multiple",
        _upsert_multiple,
    ),
    route("PATCH", rf"{API}/(?P<set>\w+)\((?P<key>.+)\)", "upsert", _patch),
    route("DELETE", rf"{API}/(?P<set>\w+)\((?P<key>.+)\)", "delete", _delete),
    route("GET", rf"{API}/(?P<set>\w+)", "query", _query),
    route("POST", rf"{API}/(?P<set>\w+)", "create", _post),
)
