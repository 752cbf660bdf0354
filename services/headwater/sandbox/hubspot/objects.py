"""Owns HubSpot's single-record endpoints under `/crm/v3/objects/{kind}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headwater.sandbox.call import Answer, Call, route
from headwater.sandbox.hubspot import associations, rules, writing
from headwater.sandbox.hubspot.errors import ItemError, invalid, not_there, refusal
from headwater.sandbox.hubspot.requests import body_of, key_property, kind_in, properties_in, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.desk import Desk
    from headwater.sandbox.hubspot.kinds import Kind
    from headwater.sandbox.store.records import Record

PAGE_MAX = 100
_PAGE_USUAL = 10


def record_in(desk: Desk, kind: Kind, params: Mapping[str, str]) -> Record:
    """The live record that the path names, or the vendor's HTML page."""
    name = key_property(desk, kind, desk.call.param("idProperty"))
    record = writing.locate(desk, kind, params["id"], name)
    if record is None:
        raise not_there(f"no {kind.name} {params['id']}")
    return record


def _create(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind = kind_in(desk, params)
    body = body_of(desk)
    properties = properties_in(desk, body)
    _refuse_unknown(desk, kind, properties)
    links = associations.requested(desk, kind, body.get("associations"))
    record = writing.create(desk, kind, properties)
    if isinstance(record, ItemError):
        raise refusal(desk, record)
    if isinstance(links, ItemError):
        raise refusal(desk, links)
    associations.keep(desk, kind, record.record_id, links)
    place = f"{call.base_url}{call.path.rstrip('/')}/{record.record_id}"
    return Answer(201, writing.echoed(record, kind, None), {"Location": place})


def _get(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind = kind_in(desk, params)
    if call.param("archived") == "true":
        record = desk.account.records.find(kind.name, params["id"])
        if record is None or not record.archived:
            raise not_there(f"no archived {kind.name} {params['id']}")
        return Answer(200, writing.shown(record, kind, call.params("properties")))
    return Answer(200, writing.shown(record_in(desk, kind, params), kind, call.params("properties")))


def _patch(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind = kind_in(desk, params)
    properties = properties_in(desk, body_of(desk))
    _refuse_unknown(desk, kind, properties)
    record = writing.update(desk, kind, record_in(desk, kind, params), properties)
    if isinstance(record, ItemError):
        raise refusal(desk, record)
    return Answer(200, writing.echoed(record, kind, properties))


def _delete(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind = kind_in(desk, params)
    record = desk.account.records.live(kind.name, params["id"])
    if record is not None:
        writing.put_away(desk, kind, record)
    return Answer(204)


def _gdpr_delete(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    """Erase a record for good, an archived one as well; nothing of it can be restored (CRM API v3, gdpr-delete)."""
    kind, told = kind_in(desk, params), str(body_of(desk).get("objectId") or "")
    if not told:
        raise invalid(desk, "Invalid input JSON: Some required fields were not set: [objectId]")
    record = desk.account.records.find(kind.name, told)
    if record is None:
        raise not_there(f"no {kind.name} {told}")
    if not record.archived:
        writing.put_away(desk, kind, record)
    desk.account.records.erase(record)
    return Answer(204)


def _list(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind = kind_in(desk, params)
    limit = whole(desk, call.param("limit", str(_PAGE_USUAL)), "limit")
    if not 0 < limit <= PAGE_MAX:
        raise invalid(desk, f"limit must be between 1 and {PAGE_MAX}")
    archived = call.param("archived") == "true"
    records = desk.account.records.page(kind.name, call.param("after"), limit + 1, archived=archived)
    page: dict[str, Any] = {
        "results": [writing.shown(record, kind, call.params("properties")) for record in records[:limit]]
    }
    if len(records) > limit:
        after = records[limit - 1].record_id
        page["paging"] = {
            "next": {"after": after, "link": f"{call.base_url}{call.path}?limit={limit}&after={after}"}
        }
    return Answer(200, page)


def _refuse_unknown(desk: Desk, kind: Kind, properties: Mapping[str, Any]) -> None:
    error = rules.unknown(desk.account, kind, properties)
    if error is not None:
        raise refusal(desk, error)


ROUTES = (
    route("POST", "/crm/v3/objects/{kind}", "create", _create),
    route("POST", "/crm/v3/objects/{kind}/gdpr-delete", "gdpr_delete", _gdpr_delete),
    route("GET", "/crm/v3/objects/{kind}", "list", _list),
    route("GET", "/crm/v3/objects/{kind}/{id}", "get", _get),
    route("PATCH", "/crm/v3/objects/{kind}/{id}", "update", _patch),
    route("DELETE", "/crm/v3/objects/{kind}/{id}", "archive", _delete),
)
