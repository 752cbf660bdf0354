"""HubSpot's changes: the search API by modification time, and the list of archived records. Decides and builds.

Search shows at most 10,000 results of one query, sorts by one property only, and pages by offset, which steps
over records whenever one on an earlier page changes. So no offset is ever used: each call asks from a time on and
takes what is complete; records of one same millisecond that fill a whole page are walked by id instead.

    since t          all of the page but its last millisecond, which the next call begins with
    one millisecond  EQ t, by id; behind the last of them GT t goes on
    archived         the list by id, as search does not show them; at most every `SWEEP_EVERY_S`

Each of these searches is a window of its own, so none comes near the cap, however many records there are.

Source: HubSpot CRM search and objects guides (paging, limits, sorting, `archived`, `archivedAt`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec

from headwater.connectors.base.http import Request
from headwater.connectors.base.polling import (
    Page,
    Polled,
    Seen,
    held_back_ms,
    is_before,
    read_cursor,
    read_moment,
    to_ms,
    write_cursor,
)
from headwater.connectors.hubspot.wire import typed

SEARCH_RECORDS_MAX: Final = 200
"""Records of one page of a search."""
LIST_RECORDS_MAX: Final = 100
"""Records of one page of a list."""
SWEEP_EVERY_S: Final = 900.0
"""Pause between two readings of the archived list: it cannot be asked by time."""

_ID: Final = "hs_object_id"
_OBJECTS: Final = "/crm/v3/objects"


class Cursor(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a poller of one object is.

    Args:
        step: what the next call does.
        since_ms: changes from here on are still to be told.
        last_id: the last record told of the millisecond `since_ms`, or of the archived list.
        high_ms: the newest change seen in this round.
        archived_ms: records archived from here on are still to be told.
        archived_high_ms: the newest archiving seen in this sweep.
        sweep_ms: when the archived list was begun last, by our clock.
    """

    step: Literal["since", "same", "archived"] = "since"
    since_ms: int = 0
    last_id: str = ""
    high_ms: int = 0
    archived_ms: int = 0
    archived_high_ms: int = 0
    sweep_ms: int = 0


def modify_property(crm_object: str) -> str:
    """Return the property that holds the time of the last change."""
    return "lastmodifieddate" if crm_object in {"contacts", "0-1"} else "hs_lastmodifieddate"


def cursor_at(since: dt.datetime | None) -> str:
    """Return the cursor that begins with what was changed or archived at *since*."""
    begin_ms = 0 if since is None else to_ms(since)
    return write_cursor(Cursor(since_ms=begin_ms, archived_ms=begin_ms))


def count_request(polled: Polled, since: dt.datetime | None) -> Request:
    """Return the search whose total is the number of records that were changed last from *since* on.

    Archived ones are not counted: only their whole list tells them.
    """
    modified = modify_property(polled.crm_object)
    begin_ms = 0 if since is None else to_ms(since)
    filters = [{"propertyName": modified, "operator": "GTE", "value": str(begin_ms)}, *_end(polled)]
    return _search_request(polled, filters, modified, 1)


def count_of(body: Any) -> int:
    """Return what an answer to `count_request` counted; 0 where it says nothing of it."""
    total = (body or {}).get("total")
    return total if isinstance(total, int) else 0


def _end(polled: Polled) -> list[dict[str, str]]:
    if polled.until is None:
        return []
    end = {"propertyName": modify_property(polled.crm_object), "operator": "LT"}
    return [{**end, "value": str(to_ms(polled.until))}]


def request_of(polled: Polled, text: str, limit: int) -> Request:
    """Return the call that *text*, a cursor, asks for."""
    cursor = read_cursor(text, Cursor)
    if cursor.step == "archived":
        return _list_request(polled, cursor.last_id, min(limit, LIST_RECORDS_MAX))
    modified = modify_property(polled.crm_object)
    if cursor.step == "same":
        filters = [
            {"propertyName": modified, "operator": "EQ", "value": str(cursor.since_ms)},
            *([{"propertyName": _ID, "operator": "GT", "value": cursor.last_id}] if cursor.last_id else []),
        ]
        return _search_request(polled, filters, _ID, limit)
    filters = [
        {"propertyName": modified, "operator": "GTE", "value": str(cursor.since_ms)},
        *_end(polled),
    ]
    return _search_request(polled, filters, modified, limit)


def page_of(
    polled: Polled, text: str, limit: int, body: Any, types: Mapping[str, str], now: dt.datetime
) -> Page:
    """Return what an answer to `request_of` tells, and where to go on.

    Raises: CallFailed when a record has no readable time.
    """
    cursor = read_cursor(text, Cursor)
    results = [item for item in (body or {}).get("results") or () if isinstance(item, dict)]
    if cursor.step == "archived":
        return _archived_page(polled, cursor, limit, results)
    seen = [seen_of(polled, item, types) for item in results]
    full = len(seen) >= min(limit, SEARCH_RECORDS_MAX)
    if cursor.step == "same":
        return _same_page(polled, cursor, seen, now, full=full)
    return _since_page(polled, cursor, seen, now, full=full)


def _since_page(
    polled: Polled, cursor: Cursor, seen: Sequence[Seen], now: dt.datetime, *, full: bool
) -> Page:
    if not full:
        high_ms = max([cursor.high_ms, *(to_ms(item.modify_time) for item in seen)])
        return _end_of_changes(polled, cursor, seen, high_ms, now)
    first_ms, last_ms = to_ms(seen[0].modify_time), to_ms(seen[-1].modify_time)
    if first_ms == last_ms:  # there may be more of this millisecond than a page holds
        return _page((), _moved(cursor, step="same", since_ms=last_ms, last_id=""), more=True)
    complete = [item for item in seen if to_ms(item.modify_time) < last_ms]
    high_ms = max(cursor.high_ms, last_ms - 1)
    return _page(complete, _moved(cursor, since_ms=last_ms, high_ms=high_ms), more=True)


def _same_page(polled: Polled, cursor: Cursor, seen: Sequence[Seen], now: dt.datetime, *, full: bool) -> Page:
    del polled, now
    high_ms = max(cursor.high_ms, cursor.since_ms)
    if full:
        return _page(seen, _moved(cursor, last_id=seen[-1].crm_id, high_ms=high_ms), more=True)
    onward = _moved(cursor, step="since", since_ms=cursor.since_ms + 1, last_id="", high_ms=high_ms)
    return _page(seen, onward, more=True)


def _end_of_changes(
    polled: Polled, cursor: Cursor, seen: Sequence[Seen], high_ms: int, now: dt.datetime
) -> Page:
    begin_ms = held_back_ms(high_ms, polled.overlap_s, now)
    sweep = polled.deletions and to_ms(now) - cursor.sweep_ms >= SWEEP_EVERY_S * 1000
    onward = _moved(cursor, step="since", since_ms=begin_ms, last_id="", high_ms=high_ms)
    if sweep:
        onward = _moved(onward, step="archived", sweep_ms=to_ms(now))
    return _page(seen, onward, more=sweep)


def _archived_page(polled: Polled, cursor: Cursor, limit: int, results: Sequence[Mapping[str, Any]]) -> Page:
    gone = [Seen(str(item["id"]), read_moment(item.get("archivedAt")), {}) for item in results]
    fresh = tuple(
        item
        for item in gone
        if to_ms(item.modify_time) >= cursor.archived_ms and is_before(item.modify_time, polled.until)
    )
    high_ms = max([cursor.archived_high_ms, *(to_ms(item.modify_time) for item in gone)])
    if len(gone) >= min(limit, LIST_RECORDS_MAX):
        onward = _moved(cursor, last_id=gone[-1].crm_id, archived_high_ms=high_ms)
        return Page((), fresh, write_cursor(onward), more=True)
    begin_ms = max(cursor.archived_ms, high_ms - round(polled.overlap_s * 1000))
    onward = _moved(cursor, step="since", last_id="", archived_ms=begin_ms, archived_high_ms=high_ms)
    return Page((), fresh, write_cursor(onward), more=False)


def _moved(cursor: Cursor, **changes: Any) -> Cursor:
    return msgspec.structs.replace(cursor, **changes)


def _page(seen: Sequence[Seen], cursor: Cursor, *, more: bool) -> Page:
    return Page(tuple(seen), (), write_cursor(cursor), more)


def seen_of(polled: Polled, item: Mapping[str, Any], types: Mapping[str, str]) -> Seen:
    """Return a record as HubSpot shows it."""
    values = item.get("properties")
    properties: Mapping[str, Any] = values if isinstance(values, dict) else {}
    fields = {name: typed(properties.get(name), types.get(name, "string")) for name in polled.fields}
    return Seen(str(item["id"]), read_moment(properties.get(modify_property(polled.crm_object))), fields)


def _search_request(polled: Polled, filters: Sequence[Mapping[str, str]], sort: str, limit: int) -> Request:
    body = {
        "filterGroups": [{"filters": list(filters)}],
        "sorts": [{"propertyName": sort, "direction": "ASCENDING"}],
        "properties": [*polled.fields, modify_property(polled.crm_object)],
        "limit": min(limit, SEARCH_RECORDS_MAX),
    }
    path = f"{_OBJECTS}/{quote(polled.crm_object, safe='')}/search"
    return Request("POST", path, f"{_OBJECTS}/{{objectType}}/search", "search", body=body)


def _list_request(polled: Polled, after: str, limit: int) -> Request:
    query = {"archived": "true", "limit": str(limit), **({"after": after} if after else {})}
    path = f"{_OBJECTS}/{quote(polled.crm_object, safe='')}"
    return Request("GET", path, f"{_OBJECTS}/{{objectType}}", "read", query=query)
