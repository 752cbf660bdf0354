"""Pipedrive's changes: lists by modification time, and the recents of API v1 for what was deleted. Decides and builds.

    changed   v2, `updated_since`, the oldest first; its own cursor names the last record told, so a change while paging
              makes no page step over one
    recents   v1, deleted records among the changed; v2 lists leave them out. At most every `SWEEP_EVERY_S`; each page
              begins with the newest second of the one before, since pages are counted there, not named

Times are whole seconds in both: a record may change again within the second in which it was read, so the newest
seconds wait until they are over.

Source: Pipedrive API v2 (pagination, updated_since) and v1 (recents).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from headwater.connectors.base.http import Request
from headwater.connectors.base.polling import (
    Page,
    Polled,
    Seen,
    from_ms,
    held_back_ms,
    is_young,
    read_cursor,
    read_moment,
    to_ms,
    write_cursor,
)
from headwater.connectors.pipedrive import wire
from headwater.connectors.pipedrive.fields import Catalogue, read
from headwater.connectors.pipedrive.kinds import Kind

RECENTS_MAX: Final = 500
"""Records of one page of recents."""
SWEEP_EVERY_S: Final = 900.0
"""Pause between two readings of the recents: a page costs as much as a search."""
KEPT: Final = dt.timedelta(days=31)
"""What was deleted longer ago is gone for good, and no list has it."""


class Cursor(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a poller of one object is.

    Args:
        step: what the next call does.
        since_ms: changes from here on are still to be told.
        page: the vendor's cursor within a round.
        high_ms: the newest change seen.
        gone_ms: deletions from here on are still to be told.
        start: how many of the recents since `gone_ms` were passed, where one second fills a page.
        sweep_ms: when the recents were begun last, by our clock.
    """

    step: Literal["changed", "recents"] = "changed"
    since_ms: int = 0
    page: str = ""
    high_ms: int = 0
    gone_ms: int = 0
    start: int = 0
    sweep_ms: int = 0


def request_of(kind: Kind, polled: Polled, catalogue: Catalogue, text: str, limit: int) -> Request:
    """Return the call that *text*, a cursor, asks for."""
    cursor = read_cursor(text, Cursor)
    if cursor.step == "recents":
        since = f"{from_ms(cursor.gone_ms):%Y-%m-%d %H:%M:%S}"
        return wire.recents_request(kind, since, cursor.start, RECENTS_MAX)
    since = f"{from_ms(cursor.since_ms):%Y-%m-%dT%H:%M:%SZ}"
    codes = catalogue.custom_codes(polled.fields)
    return wire.changed_request(kind, since, min(limit, wire.LIST_RECORDS_MAX), codes, cursor.page)


def page_of(polled: Polled, catalogue: Catalogue, text: str, body: Any, now: dt.datetime) -> Page:
    """Return what an answer to `request_of` tells, and where to go on.

    Raises: CallFailed when a record has no readable time.
    """
    cursor = read_cursor(text, Cursor)
    if cursor.step == "recents":
        return _recents_page(polled, cursor, body)
    page = wire.read_page(body)
    told = [seen(polled, catalogue, item) for item in page.records]
    waits = next((number for number, item in enumerate(told) if is_young(item.modify_time, now)), len(told))
    ready = tuple(told[:waits])  # those behind the first young one come again with it
    high_ms = max([cursor.high_ms, *(to_ms(item.modify_time) for item in ready)])
    if page.cursor and len(ready) == len(told):
        onward = msgspec.structs.replace(cursor, page=page.cursor, high_ms=high_ms)
        return Page(ready, (), write_cursor(onward), more=True)
    begin_ms = held_back_ms(high_ms, polled.overlap_s, now)
    sweep = polled.deletions and to_ms(now) - cursor.sweep_ms >= SWEEP_EVERY_S * 1000
    onward = msgspec.structs.replace(cursor, since_ms=begin_ms, page="", high_ms=high_ms)
    if sweep:
        first_ms = cursor.gone_ms if cursor.sweep_ms else max(0, to_ms(now - KEPT))
        onward = msgspec.structs.replace(onward, step="recents", gone_ms=first_ms, sweep_ms=to_ms(now))
    return Page(ready, (), write_cursor(onward), more=sweep)


def _recents_page(polled: Polled, cursor: Cursor, body: Any) -> Page:
    items = _recents(body)
    times = [to_ms(_moment(item)) for item in items]
    gone = tuple(
        Seen(str(item["id"]), _moment(item), {}) for item in items if item.get("active_flag") is False
    )
    if len(items) >= RECENTS_MAX:
        last_ms = max(times)
        # A whole page of one second is counted off by its half: one that changes meanwhile moves the others up.
        passed = cursor.start + RECENTS_MAX // 2 if last_ms == cursor.gone_ms else 0
        onward = msgspec.structs.replace(cursor, gone_ms=last_ms, start=passed)
        return Page((), gone, write_cursor(onward), more=True)
    high_ms = max([cursor.gone_ms, *times])
    begin_ms = max(0, high_ms - round(polled.overlap_s * 1000)) if items else cursor.gone_ms
    onward = msgspec.structs.replace(cursor, step="changed", gone_ms=begin_ms, start=0)
    return Page((), gone, write_cursor(onward), more=False)


def _recents(body: Any) -> list[Mapping[str, Any]]:
    values = body.get("data") if isinstance(body, dict) else None
    entries: Sequence[Any] = values if isinstance(values, list) else ()
    inner = (entry.get("data") for entry in entries if isinstance(entry, dict))
    return [item for item in inner if isinstance(item, dict) and item.get("id") is not None]


def _moment(item: Mapping[str, Any]) -> dt.datetime:
    return read_moment(item.get("update_time"))


def seen(polled: Polled, catalogue: Catalogue, record: Mapping[str, Any]) -> Seen:
    """Return a record as a poll tells it. Raises: CallFailed when it has no readable time."""
    known = ((name, catalogue.get(name)) for name in polled.fields)
    fields = {name: read(item, record) if item else None for name, item in known}
    return Seen(str(record["id"]), read_moment(record.get("update_time")), fields)
