"""Dataverse's changes by delta links: the service remembers, a link says since when. Decides and builds.

The first round reads everything and ends with a delta link; each following one asks that link and ends with the next.
Links are the vendor's; only their path and query are kept, so that a token is never sent elsewhere.

Times are whole seconds, so two changes of one record may bear the same; the row version, which the etag states, is
added as microseconds. A deletion has no time of its own: it gets that of the delta link before, which no change that was
told already is behind.

Source: Dataverse, Use change tracking to synchronize data; OData 4.0, 11.3.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.http import Request
from headwater.connectors.base.polling import Page, Polled, Seen, read_cursor, read_moment, write_cursor
from headwater.connectors.dynamics import wire
from headwater.connectors.dynamics.schema import Table, items_of

PAGE_RECORDS_MAX: Final = 5_000
"""Records of one page."""

_MODIFIED: Final = "modifiedon"
_VERSIONS: Final = 1_000_000
_ETAG: Final = re.compile(r'W/"(\d+)"')
_TOKEN_TIME: Final = re.compile(r"!(\d\d)/(\d\d)/(\d{4}) (\d\d):(\d\d):(\d\d)")
_DELETED: Final = "$deletedEntity"


class Cursor(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a poller of one table is.

    Args:
        path: of the link to go on with; "" at the beginning.
        query: of the link.
        since: the delta token that the present round began with.
    """

    path: str = ""
    query: dict[str, str] = {}
    since: str = ""


def request_of(table: Table, polled: Polled, text: str, limit: int) -> Request:
    """Return the call that *text*, a cursor, asks for."""
    cursor = read_cursor(text, Cursor)
    size = min(limit, PAGE_RECORDS_MAX)
    if cursor.path:
        return wire.tracked_request(cursor.path, cursor.query, size)
    columns = ",".join(dict.fromkeys([table.primary_id, *columns_of(polled)]))
    return wire.tracked_request(f"{wire.API}/{table.entity_set}", {"$select": columns}, size)


def columns_of(polled: Polled) -> tuple[str, ...]:
    """Return what is asked of each record."""
    return (_MODIFIED, *polled.fields)


def page_of(table: Table, polled: Polled, text: str, body: Any, now: dt.datetime) -> Page:
    """Return what an answer to `request_of` tells, and where to go on.

    Raises: CallFailed when a record has no readable time, or the answer no link to go on with.
    """
    cursor = read_cursor(text, Cursor)
    link = str(body.get("@odata.nextLink") or "") if isinstance(body, dict) else ""
    more = bool(link)
    if not more:
        link = str(body.get("@odata.deltaLink") or "") if isinstance(body, dict) else ""
    onward = _behind(table, link, cursor, more=more)
    gone_time = _time_of(cursor.since, now)
    records, gone = [], []
    for item in items_of(body):
        if _DELETED in str(item.get("@odata.context") or item.get("@context") or ""):
            gone.append(Seen(str(item["id"]), gone_time, {}))
        else:
            records.append(seen(table, polled, item))
    deleted = tuple(gone) if polled.deletions else ()
    return Page(tuple(records), deleted, write_cursor(onward), more)


def _behind(table: Table, link: str, cursor: Cursor, *, more: bool) -> Cursor:
    parts = urlsplit(link)
    where = parts.path.find(f"{wire.API}/{table.entity_set}")
    if where < 0:
        message = f"the answer has no link to go on with; is change tracking switched on for {table.name}?"
        raise CallFailed(VendorError(ErrorClass.FORMAT, "NO_DELTA_LINK", message))
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    since = cursor.since if more else query.get("$deltatoken", "")
    return Cursor(parts.path[where:], query, since)


def seen(table: Table, polled: Polled, item: Mapping[str, Any]) -> Seen:
    """Return a record as a poll tells it. Raises: CallFailed when it has no readable time."""
    fields = {name: wire.read_value(table.columns.get(name), item.get(name)) for name in polled.fields}
    stamp = read_moment(item.get(_MODIFIED)).replace(microsecond=0)
    version = _ETAG.search(str(item.get("@odata.etag") or ""))
    part = int(version.group(1)) % _VERSIONS if version else 0
    return Seen(str(item[table.primary_id]), stamp + dt.timedelta(microseconds=part), fields)


def _time_of(token: str, now: dt.datetime) -> dt.datetime:
    found = _TOKEN_TIME.search(token)
    if found is None:
        return now
    month, day, year, hour, minute, second = (int(group) for group in found.groups())
    return dt.datetime(year, month, day, hour, minute, second, 999_999, tzinfo=dt.UTC)
