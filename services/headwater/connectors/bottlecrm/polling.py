"""BottleCRM's changes: its feed of activities says which records, a reading of each says what. Decides and builds.

    feed   the newest 50 activities of the object; those that were not there last time are new, by their ids: no clock
           is compared. Deletions stand in it and nowhere else
    fetch  one changed record a call
    sweep  every record, page by page: at first, where the feed has moved on by more than it shows, and once in
           `SWEEP_EVERY_S`, for what changes without an activity. Pages are counted from the newest, so each begins with
           records of the one before: where they are missing, others were deleted meanwhile, and it goes back

Accounts, deals and tasks tell no time of change: they are told with that of the newest activity.

Source: BottleCRM 1.35.0, `/api/activities/` (newest first, 50 at most) and the lists' order.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.http import Request
from headwater.connectors.base.polling import (
    Page,
    Polled,
    Seen,
    from_ms,
    held_back_ms,
    read_cursor,
    read_moment,
    to_ms,
    write_cursor,
)
from headwater.connectors.bottlecrm import wire
from headwater.connectors.bottlecrm.kinds import Kind

SWEEP_EVERY_S: Final = 21_600.0
"""Pause between two sweeps for what no activity told."""
OVERLAP_RECORDS: Final = 10
"""Records with which a page of a sweep repeats the one before."""
_PASSED_OVER: Final = frozenset({"VIEW", "COMMENT"})


class Todo(msgspec.Struct, frozen=True, array_like=True):
    """A record to be fetched, and when it was changed by its newest activity."""

    crm_id: str
    ms: int


class Cursor(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a poller of one object is.

    Args:
        step: what the next call does.
        seen: ids of the activities that the feed showed last.
        todo: records still to be fetched.
        offset: where the next page of a sweep begins.
        anchors: last keys of the page before, one for each of the object's lists; "" for one that is over.
        since_ms: records that tell their time are left out of a sweep when it is before this.
        mark_ms: the newest activity when the sweep began.
        high_ms: the newest change told.
        swept_ms: when a sweep was begun last, by our clock.
    """

    step: Literal["feed", "fetch", "sweep"] = "feed"
    seen: tuple[str, ...] = ()
    todo: tuple[Todo, ...] = ()
    offset: int = 0
    anchors: tuple[str, ...] = ()
    since_ms: int = 0
    mark_ms: int = 0
    high_ms: int = 0
    swept_ms: int = 0


def request_of(kind: Kind, text: str, limit: int) -> Request:
    """Return the call that *text*, a cursor, asks for."""
    cursor = read_cursor(text, Cursor)
    if cursor.step == "sweep":
        return wire.page_request(kind, cursor.offset, _page_records(limit))
    if cursor.step == "fetch" and cursor.todo:
        return wire.record_request(kind, cursor.todo[0].crm_id)
    return wire.feed_request(kind)


def page_of(
    kind: Kind,
    polled: Polled,
    customs: wire.Customs,
    text: str,
    body: Any,
    *,
    limit: int,
    now: dt.datetime,
) -> Page:
    """Return what an answer to `request_of` tells, and where to go on.

    Args:
        body: the decoded answer; None where a record to be fetched is gone.

    Raises: CallFailed when a record or an activity has no readable time.
    """
    cursor = read_cursor(text, Cursor)
    if cursor.step == "sweep":
        return _swept(kind, polled, customs, cursor, body, _page_records(limit), now)
    if cursor.step == "fetch" and cursor.todo:
        return _fetched(kind, polled, customs, cursor, body)
    return _fed(polled, cursor, body, now)


def _fed(polled: Polled, cursor: Cursor, body: Any, now: dt.datetime) -> Page:
    entries = _entries(body)
    known = set(cursor.seen)
    fresh = [entry for entry in entries if str(entry.get("id")) not in known]
    newest = {str(entry["entity_id"]): entry for entry in reversed(fresh)}  # the newest of each stays
    gone = {crm_id: entry for crm_id, entry in newest.items() if entry.get("action") == "DELETE"}
    told = tuple(Seen(crm_id, _moment(entry), {}) for crm_id, entry in gone.items())
    mark_ms = max([cursor.mark_ms, *(to_ms(_moment(entry)) for entry in entries)])
    onward = msgspec.structs.replace(
        cursor, seen=tuple(str(entry.get("id")) for entry in entries) or cursor.seen, mark_ms=mark_ms
    )
    moved_on = len(fresh) == len(entries) >= wire.FEED_MAX
    if not cursor.swept_ms or moved_on or to_ms(now) - cursor.swept_ms >= SWEEP_EVERY_S * 1000:
        since_ms = held_back_ms(cursor.high_ms, polled.overlap_s, now) if cursor.swept_ms else 0
        onward = msgspec.structs.replace(
            onward, step="sweep", offset=0, anchors=(), since_ms=since_ms, swept_ms=to_ms(now), todo=()
        )
        return _page((), told if polled.deletions else (), onward, more=True)
    todo = tuple(
        Todo(crm_id, to_ms(_moment(entry)))
        for crm_id, entry in newest.items()
        if crm_id not in gone and entry.get("action") not in _PASSED_OVER
    )
    onward = msgspec.structs.replace(onward, step="fetch" if todo else "feed", todo=todo)
    return _page((), told if polled.deletions else (), onward, more=bool(todo))


def _fetched(kind: Kind, polled: Polled, customs: wire.Customs, cursor: Cursor, body: Any) -> Page:
    first, *rest = cursor.todo
    record = None if body is None else wire.record_of(body, first.crm_id)
    if body is not None and record is None:
        message = f"the answer about {kind.name} {first.crm_id} does not hold it"
        raise CallFailed(VendorError(ErrorClass.FORMAT, "RECORD_MISSING", message))
    seen = () if record is None else (_seen(kind, polled, customs, record, first.ms),)
    onward = msgspec.structs.replace(
        cursor,
        step="fetch" if rest else "feed",
        todo=tuple(rest),
        high_ms=max([cursor.high_ms, *(to_ms(one.modify_time) for one in seen)]),
    )
    return _page(seen, (), onward, more=bool(rest))


def _swept(
    kind: Kind,
    polled: Polled,
    customs: wire.Customs,
    cursor: Cursor,
    body: Any,
    limit: int,
    now: dt.datetime,
) -> Page:
    lists = wire.rows_of(kind, body)
    if cursor.offset and any(
        not _joins(kind, rows, anchor) for rows, anchor in zip(lists, cursor.anchors, strict=False)
    ):
        back = msgspec.structs.replace(cursor, offset=max(0, cursor.offset - limit))
        return _page((), (), back, more=True)
    seen = tuple(
        one
        for rows in lists
        for record in rows
        if to_ms((one := _seen(kind, polled, customs, record, cursor.mark_ms)).modify_time) >= cursor.since_ms
    )
    high_ms = max([cursor.high_ms, *(to_ms(one.modify_time) for one in seen)])
    if all(len(rows) < limit for rows in lists):
        onward = msgspec.structs.replace(
            cursor, step="feed", offset=0, anchors=(), high_ms=min(high_ms, to_ms(now))
        )
        return _page(seen, (), onward, more=False)
    anchors = tuple(_key(kind, rows[-1]) if len(rows) >= limit else "" for rows in lists)
    step = limit - min(OVERLAP_RECORDS, limit // 2)
    onward = msgspec.structs.replace(cursor, offset=cursor.offset + step, anchors=anchors, high_ms=high_ms)
    return _page(seen, (), onward, more=True)


def _joins(kind: Kind, rows: Sequence[wire.Record], anchor: str) -> bool:
    """Say whether a page goes on where the one before ended; its first record must not lie behind the anchor."""
    if not anchor:
        return True
    return bool(rows) and _key(kind, rows[0]) >= anchor


def _key(kind: Kind, record: wire.Record) -> str:
    """Return what a list is ordered by, as text that compares alike."""
    if kind.name != "contacts":
        return str(record["id"])
    return f"{read_moment(record.get('created_at')).astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%f}"


def _seen(kind: Kind, polled: Polled, customs: wire.Customs, record: wire.Record, ms: int) -> Seen:
    fields = {name: wire.value_of(kind, record, name, customs) for name in polled.fields}
    if wire.STAMP in record:
        return Seen(str(record["id"]), read_moment(record[wire.STAMP]), fields)
    made = read_moment(record.get("created_at"))
    return Seen(str(record["id"]), max(made, from_ms(ms)), fields)


def _entries(body: Any) -> list[Mapping[str, Any]]:
    values = body.get("activities") if isinstance(body, dict) else None
    return [one for one in values or () if isinstance(one, dict) and one.get("entity_id")]


def _moment(entry: Mapping[str, Any]) -> dt.datetime:
    return read_moment(entry.get("timestamp"))


def _page_records(limit: int) -> int:
    return max(2, min(limit, wire.LIST_RECORDS_MAX))


def _page(seen: tuple[Seen, ...], deleted: tuple[Seen, ...], cursor: Cursor, *, more: bool) -> Page:
    return Page(seen, deleted, write_cursor(cursor), more)
