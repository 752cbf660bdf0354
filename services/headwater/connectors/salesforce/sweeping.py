"""Salesforce's records by ranges of ids: SOQL by Id, never by offset. Decides and builds.

An Id is 18 characters that sort as Salesforce sorts them. COUNT and MAX of a range cost one call and tell no record.

Source: SOQL and SOSL Reference (COUNT(fieldName), MAX(), alias notation, ORDER BY).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headwater.connectors.base.http import Request
from headwater.connectors.base.polling import Seen, read_moment
from headwater.connectors.base.sweeping import Probe, Span, Swept, SweptPage
from headwater.connectors.salesforce import wire

SWEEP_RECORDS_MAX: Final = 2_000
"""Records of one answer."""
READ_RECORDS_MAX: Final = 200
"""Ids of one query: it stays below the length that a URI may have."""

_STAMP: Final = "SystemModstamp"


def probe_request(version: str, swept: Swept, span: Span) -> Request:
    """Return the call for the number of records of a span, and their newest stamp."""
    asked = f"SELECT COUNT(Id) total, MAX({_STAMP}) newest FROM {swept.crm_object}"  # noqa: S608 - SOQL, escaped
    return wire.query_request(version, f"{asked}{_where(swept, span)}")


def sweep_request(version: str, swept: Swept, span: Span) -> Request:
    """Return the call for the first records of a span."""
    tail = f"{_where(swept, span)} ORDER BY Id LIMIT {SWEEP_RECORDS_MAX}"
    return wire.query_request(version, f"{_select(swept)}{tail}")


def read_request(version: str, swept: Swept, crm_ids: Sequence[str]) -> Request:
    """Return the call for records by id."""
    ids = ",".join(wire.soql_text(one) for one in dict.fromkeys(crm_ids))
    return wire.query_request(version, f"{_select(swept)} WHERE Id IN ({ids})")


def probe_of(body: Any) -> Probe:
    """Return what the answer to `probe_request` says. Raises: CallFailed when its time cannot be read."""
    records = wire.read_page(body).records
    told: Mapping[str, Any] = records[0] if records else {}
    newest = told.get("newest")
    return Probe(int(told.get("total") or 0), read_moment(newest) if newest else None)


def page_of(swept: Swept, span: Span, body: Any) -> SweptPage:
    """Return what the answer to `sweep_request` tells. Raises: CallFailed when a record has no readable time."""
    page = wire.read_page(body)
    records = tuple(_seen(swept, item) for item in page.records)
    more = bool(page.locator) or len(records) >= SWEEP_RECORDS_MAX
    return SweptPage(records, records[-1].crm_id if records else span.after, more)


def read_of(swept: Swept, body: Any) -> dict[str, Seen]:
    """Return records of the answer to `read_request`. Raises: CallFailed when a record has no readable time."""
    return {str(item["Id"]): _seen(swept, item) for item in wire.read_page(body).records}


def _select(swept: Swept) -> str:
    columns = ", ".join(dict.fromkeys(["Id", _STAMP, *swept.fields, *swept.references]))
    return f"SELECT {columns} FROM {swept.crm_object}"  # noqa: S608 - SOQL, escaped


def _where(swept: Swept, span: Span) -> str:
    parts = [
        *([f"Id > {wire.soql_text(span.after)}"] if span.after else []),
        *([f"Id <= {wire.soql_text(span.upto)}"] if span.upto else []),
        *([f"{swept.marked} != null"] if swept.marked else []),
    ]
    return f" WHERE {' AND '.join(parts)}" if parts else ""


def _seen(swept: Swept, item: Mapping[str, Any]) -> Seen:
    fields = {name: wire.read_value(item.get(name)) for name in (*swept.fields, *swept.references)}
    return Seen(str(item["Id"]), read_moment(item.get(_STAMP)), fields)
