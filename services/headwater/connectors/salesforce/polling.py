"""Salesforce's changes: queryAll in the order of (SystemModstamp, Id), deleted records among them. Decides and builds.

Each call names the last record told and asks for what sorts behind it, so neither a change while paging nor any
number of records with one stamp makes it step over one. Stamps are whole seconds: a record may change again within
the second in which it was read, so the newest seconds wait until they are over.

Source: SOQL and SOSL Reference (ORDER BY, dateTime literals), REST API Developer Guide (queryAll, IsDeleted).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from headwater.connectors.base.fetching import Fetched
from headwater.connectors.base.http import Request
from headwater.connectors.base.polling import (
    Page,
    Polled,
    Seen,
    from_ms,
    held_back_ms,
    is_before,
    read_cursor,
    read_moment,
    to_ms,
    write_cursor,
)
from headwater.connectors.salesforce import wire

QUERY_RECORDS_MAX: Final = 2_000
"""Records of one answer."""
YOUNG_S: Final = 2.0
"""A stamp younger than this may still be given to another change of the same record: Salesforce keeps seconds."""
AHEAD_S_MAX: Final = 60.0
"""A stamp further ahead of our clock than this is told at once: the clocks disagree, waiting would not end."""

_STAMP: Final = "SystemModstamp"


class Cursor(msgspec.Struct, frozen=True, omit_defaults=True):
    """The last record told; an empty id means that everything from the stamp on is still to be told."""

    stamp_ms: int = 0
    last_id: str = ""
    high_ms: int = 0


def cursor_at(since: dt.datetime | None) -> str:
    """Return the cursor that begins with what was changed at *since*."""
    return write_cursor(Cursor(0 if since is None else to_ms(since)))


def count_request(polled: Polled, since: dt.datetime | None, version: str) -> Request:
    """Return the query whose size is the number of records that were changed last from *since* on."""
    begin = _literal(from_ms(0 if since is None else to_ms(since)))
    alive = "" if polled.deletions else " AND IsDeleted = false"
    soql = f"SELECT COUNT() FROM {polled.crm_object} WHERE {_STAMP} >= {begin}{_end(polled)}{alive}"  # noqa: S608 - SOQL
    return wire.query_all_request(version, soql)


def count_of(body: Any) -> int:
    """Return what an answer to `count_request` counted; 0 where it says nothing of it."""
    size = (body or {}).get("totalSize")
    return size if isinstance(size, int) else 0


def request_of(polled: Polled, text: str, limit: int, version: str) -> Request:
    """Return the call that *text*, a cursor, asks for."""
    return wire.query_all_request(version, _soql(polled, read_cursor(text, Cursor), limit))


def page_of(polled: Polled, text: str, limit: int, body: Any, now: dt.datetime) -> Page:
    """Return what an answer to `request_of` tells, and where to go on.

    Raises: CallFailed when a record has no readable time.
    """
    cursor = read_cursor(text, Cursor)
    page = wire.read_page(body)
    told = [(_seen(polled, item), item.get("IsDeleted") is True) for item in page.records]
    kept = [pair for pair in told if not _is_young(pair[0].modify_time, now)]
    waits = len(kept) < len(told)
    if waits:  # those behind the first young one come again with it
        kept = kept[: next(i for i, pair in enumerate(told) if _is_young(pair[0].modify_time, now))]
    more = not waits and (bool(page.locator) or len(told) >= min(limit, QUERY_RECORDS_MAX))
    high_ms = max([cursor.high_ms, *(to_ms(item.modify_time) for item, _ in kept)])
    if (
        waits and polled.until is not None
    ):  # a stretch of time is read to its end: the young ones are waited for
        more = True
    if more and kept:
        last = kept[-1][0]
        onward = Cursor(to_ms(last.modify_time), last.crm_id, high_ms)
    elif more:
        onward = cursor
    else:
        onward = Cursor(held_back_ms(high_ms, polled.overlap_s, now), "", high_ms)
    kept = [pair for pair in kept if is_before(pair[0].modify_time, polled.until)]
    records = tuple(item for item, gone in kept if not gone)
    deleted = tuple(item for item, gone in kept if gone and polled.deletions)
    return Page(records, deleted, write_cursor(onward), more)


def fetch_request(polled: Polled, crm_ids: Sequence[str], version: str) -> Request:
    """Return the read of records by id, deleted ones among them."""
    columns = ", ".join(dict.fromkeys(["Id", "IsDeleted", _STAMP, *polled.fields]))
    ids = ",".join(wire.soql_text(crm_id) for crm_id in crm_ids)
    soql = f"SELECT {columns} FROM {polled.crm_object} WHERE Id IN ({ids})"  # noqa: S608 - SOQL, escaped
    return wire.query_all_request(version, soql)


def fetched_of(polled: Polled, crm_ids: Sequence[str], body: Any) -> Fetched:
    """Return what an answer to `fetch_request` tells."""
    told = [(_seen(polled, item), item.get("IsDeleted") is True) for item in wire.read_page(body).records]
    there = {item.crm_id for item, _ in told}
    return Fetched(
        tuple(item for item, gone in told if not gone),
        tuple(item for item, gone in told if gone),
        tuple(crm_id for crm_id in dict.fromkeys(crm_ids) if crm_id not in there),
    )


def _is_young(stamp: dt.datetime, now: dt.datetime) -> bool:
    return -AHEAD_S_MAX <= (now - stamp).total_seconds() < YOUNG_S


def _soql(polled: Polled, cursor: Cursor, limit: int) -> str:
    columns = ", ".join(dict.fromkeys(["Id", "IsDeleted", _STAMP, *polled.fields]))
    stamp = _literal(from_ms(cursor.stamp_ms))
    behind = f"{_STAMP} >= {stamp}"
    if cursor.last_id:
        behind = f"{_STAMP} > {stamp} OR ({_STAMP} = {stamp} AND Id > {wire.soql_text(cursor.last_id)})"
    if polled.until is not None:
        behind = f"({behind}){_end(polled)}"
    size = min(limit, QUERY_RECORDS_MAX)
    return f"SELECT {columns} FROM {polled.crm_object} WHERE {behind} ORDER BY {_STAMP}, Id LIMIT {size}"  # noqa: S608 - SOQL, escaped


def _end(polled: Polled) -> str:
    """Return the condition that keeps to the end of the reading; stamps are whole seconds."""
    if polled.until is None:
        return ""
    return f" AND {_STAMP} {'<=' if polled.until.microsecond else '<'} {_literal(polled.until)}"


def _literal(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"


def _seen(polled: Polled, item: Mapping[str, Any]) -> Seen:
    fields = {name: wire.read_value(item.get(name)) for name in polled.fields}
    gone = item.get("IsDeleted") is True
    return Seen(str(item["Id"]), read_moment(item.get(_STAMP)), {} if gone else fields)
