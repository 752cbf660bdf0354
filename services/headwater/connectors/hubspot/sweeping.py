"""HubSpot's records by ranges of ids: the list by id, the batch read, and a search that only counts. Decides, builds.

The list is in the order of ids, shows a write at once and has no cap; `after` is the id behind which it goes on. Of a
search only the total and the newest record are taken: it may be seconds behind, so what it says is never the last word.

Source: HubSpot CRM objects and search guides (list, batch read, `total`, sorting).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from headwater.connectors.base.http import Request
from headwater.connectors.base.polling import Seen, read_moment
from headwater.connectors.base.sweeping import Probe, Span, Swept, SweptPage
from headwater.connectors.hubspot.polling import modify_property
from headwater.connectors.hubspot.wire import typed

SWEEP_RECORDS_MAX: Final = 100
"""Records of one page of the list."""
READ_RECORDS_MAX: Final = 100
"""Ids of one batch read."""

_ID: Final = "hs_object_id"
_OBJECTS: Final = "/crm/v3/objects"
_TEMPLATE: Final = f"{_OBJECTS}/{{objectType}}"


def probe_request(swept: Swept, span: Span) -> Request:
    """Return the search that counts the records of a span and shows the one that changed last."""
    filters: list[dict[str, str]] = []
    if span.after:
        filters.append({"propertyName": _ID, "operator": "GT", "value": span.after})
    if span.upto:
        filters.append({"propertyName": _ID, "operator": "LTE", "value": span.upto})
    if swept.marked:
        filters.append({"propertyName": swept.marked, "operator": "HAS_PROPERTY"})
    modified = modify_property(swept.crm_object)
    body = {
        "filterGroups": [{"filters": filters}] if filters else [],
        "sorts": [{"propertyName": modified, "direction": "DESCENDING"}],
        "properties": [modified],
        "limit": 1,
    }
    return Request("POST", f"{_path(swept)}/search", f"{_TEMPLATE}/search", "search", body=body)


def sweep_request(swept: Swept, span: Span) -> Request:
    """Return the call for the first records of a span."""
    query = {
        "limit": str(SWEEP_RECORDS_MAX),
        "properties": ",".join(_properties(swept)),
        **({"after": span.after} if span.after else {}),
    }
    return Request("GET", _path(swept), _TEMPLATE, "read", query=query)


def read_request(swept: Swept, crm_ids: Sequence[str]) -> Request:
    """Return the call for records by id."""
    body = {
        "properties": list(_properties(swept)),
        "propertiesWithHistory": [],
        "inputs": [{"id": one} for one in dict.fromkeys(crm_ids)],
    }
    return Request("POST", f"{_path(swept)}/batch/read", f"{_TEMPLATE}/batch/read", "read", body=body)


def probe_of(swept: Swept, body: Any) -> Probe:
    """Return what the answer to `probe_request` says. Raises: CallFailed when its time cannot be read."""
    told: Mapping[str, Any] = body if isinstance(body, dict) else {}
    newest = next((_values(item).get(modify_property(swept.crm_object)) for item in _items(body)), None)
    return Probe(int(told.get("total") or 0), read_moment(newest) if newest else None)


def page_of(swept: Swept, span: Span, body: Any, types: Mapping[str, str]) -> SweptPage:
    """Return what the answer to `sweep_request` tells. Raises: CallFailed when a record has no readable time."""
    items = _items(body)
    inside = [item for item in items if span.holds(str(item["id"]))]
    kept = [item for item in inside if not swept.marked or _values(item).get(swept.marked)]
    paging = body.get("paging") if isinstance(body, dict) else None
    more = bool(paging) and len(inside) == len(items)
    last_id = str(inside[-1]["id"]) if inside else span.after
    return SweptPage(tuple(_seen(swept, item, types) for item in kept), last_id, more)


def read_of(swept: Swept, body: Any, types: Mapping[str, str]) -> dict[str, Seen]:
    """Return records of the answer to `read_request`. Raises: CallFailed when a record has no readable time."""
    return {
        str(item["id"]): _seen(swept, item, types)
        for item in _items(body)
        if item.get("archived") is not True
    }


def _path(swept: Swept) -> str:
    return f"{_OBJECTS}/{quote(swept.crm_object, safe='')}"


def _properties(swept: Swept) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys([*swept.fields, modify_property(swept.crm_object), *filter(None, [swept.marked])])
    )


def _items(body: Any) -> list[Mapping[str, Any]]:
    return [item for item in (body or {}).get("results") or () if isinstance(item, dict)]


def _values(item: Mapping[str, Any]) -> Mapping[str, Any]:
    values = item.get("properties")
    return values if isinstance(values, dict) else {}


def _seen(swept: Swept, item: Mapping[str, Any], types: Mapping[str, str]) -> Seen:
    values = _values(item)
    fields = {name: typed(values.get(name), types.get(name, "string")) for name in swept.fields}
    return Seen(str(item["id"]), read_moment(values.get(modify_property(swept.crm_object))), fields)
