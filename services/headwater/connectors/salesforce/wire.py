"""Salesforce's requests built and answers taken apart. Pure: values in, values out.

Source: REST API Developer Guide: sObject Collections, Query, sObject Describe.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, quote_plus

from headwater.connectors.base.errors import ErrorClass, VendorError
from headwater.connectors.base.http import Request
from headwater.connectors.base.moments import utc_text
from headwater.connectors.base.port import Failed, Found, Outcome, Target, Write, Written
from headwater.connectors.salesforce.errors import error_of_record

BATCH_RECORDS_MAX: Final = 200
"""Records per collection call."""
QUERY_CHARS_MAX: Final = 8_000
"""Escaped characters of one query; Salesforce takes 16,384 in a URI, proxies often only 8,192."""
DEFAULT_API_VERSION: Final = "v61.0"
API_VERSION: Final = re.compile(r"v\d{2,3}\.0")

_ID_CHARS: Final = 15
"""The case-sensitive part of a record id; the other three characters are a checksum."""
_ESCAPES: Final = str.maketrans(
    {"\\": r"\\", "'": r"\'", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\b": r"\b", "\f": r"\f"}
)
_LOCATOR: Final = re.compile(r"/query/([A-Za-z0-9-]+)$")

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000")
"""A dateTime as Salesforce answers it, whatever form it was written in."""

_MISCOUNT: Final = VendorError(
    ErrorClass.PARTIAL, "ANSWER_MISCOUNT", "the answer has not one item per record, so none can be matched"
)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a query: its records, and the locator of the next page or ""."""

    records: tuple[Mapping[str, Any], ...]
    locator: str


def upsert_request(version: str, target: Target, writes: Sequence[Write]) -> Request:
    """Return the upsert by external id."""
    root = "composite/sobjects"
    path = f"{_root(version)}/{root}/{quote(target.crm_object, safe='')}/{quote(target.external_id_field, safe='')}"
    template = f"{_root('{version}')}/{root}/{{sobject}}/{{externalIdField}}"
    return Request("PATCH", path, template, "write", body=_collection(target, writes))


def update_request(version: str, target: Target, writes: Sequence[Write]) -> Request:
    """Return the update by record id; it claims the records by setting the external id."""
    root = "composite/sobjects"
    template = f"{_root('{version}')}/{root}"
    return Request("PATCH", f"{_root(version)}/{root}", template, "write", body=_collection(target, writes))


def describe_request(version: str, crm_object: str) -> Request:
    """Return the call for an object's fields."""
    path = f"{_root(version)}/sobjects/{quote(crm_object, safe='')}/describe"
    return Request("GET", path, f"{_root('{version}')}/sobjects/{{sobject}}/describe", "read")


def limits_request(version: str) -> Request:
    """Return the cheapest call that proves token and API access."""
    return Request("GET", f"{_root(version)}/limits", f"{_root('{version}')}/limits", "read")


def query_request(version: str, soql: str) -> Request:
    """Return the first page of a query."""
    template = f"{_root('{version}')}/query"
    return Request("GET", f"{_root(version)}/query", template, "search", query={"q": soql})


def query_all_request(version: str, soql: str) -> Request:
    """Return a query that sees deleted records too, in one page."""
    template = f"{_root('{version}')}/queryAll"
    return Request("GET", f"{_root(version)}/queryAll", template, "search", query={"q": soql})


def next_page_request(version: str, locator: str) -> Request:
    """Return a further page of a query."""
    template = f"{_root('{version}')}/query/{{locator}}"
    return Request("GET", f"{_root(version)}/query/{quote(locator, safe='')}", template, "search")


def look_up_queries(
    target: Target, ids: Sequence[str], chars_max: int = QUERY_CHARS_MAX, *, key: str = ""
) -> Iterator[str]:
    """Yield queries that together ask for every id in *key* (the external id field), each at most *chars_max* characters when escaped in a URL.

    A single id that is longer than that goes alone.
    """
    columns = ", ".join(dict.fromkeys(["Id", target.external_id_field, *target.fields]))
    head = f"SELECT {columns} FROM {target.crm_object} WHERE {key or target.external_id_field} IN ("  # noqa: S608 - SOQL, escaped
    chunk: list[str] = []
    used = room = len(quote_plus(head + ")"))
    for external_id in dict.fromkeys(ids):
        literal = soql_text(external_id)
        cost = len(quote_plus(literal + ","))
        if chunk and (used + cost > chars_max or len(chunk) == BATCH_RECORDS_MAX):
            yield f"{head}{','.join(chunk)})"
            chunk, used = [], room
        chunk.append(literal)
        used += cost
    if chunk:
        yield f"{head}{','.join(chunk)})"


def soql_text(value: str) -> str:
    """Return *value* as a SOQL string literal. Source: SOQL and SOSL Reference, quoted string escapes."""
    return f"'{value.translate(_ESCAPES)}'"


def read_outcomes(body: Any, writes: Sequence[Write]) -> dict[str, Outcome]:
    """Return one outcome per write; Salesforce promises the order of the request.

    Where an updated record's id shows that the promise is broken, nothing is believed.
    """
    if not isinstance(body, list) or len(body) != len(writes):
        return {write.external_id: Failed(_MISCOUNT) for write in writes}
    pairs = list(zip(writes, body, strict=True))
    if any(_mismatched(write, item) for write, item in pairs):
        return {write.external_id: Failed(_MISCOUNT) for write in writes}
    return {write.external_id: _outcome(write, item) for write, item in pairs}


def concerned(error: VendorError, writes: Sequence[Write]) -> Collection[str]:
    """Return the external ids that a refused call is about, as far as its message names a field."""
    return [write.external_id for write in writes if error.field and error.field in _columns(write)]


def read_page(body: Any) -> Page:
    """Return one page of a query's answer."""
    page: Mapping[str, Any] = body if isinstance(body, dict) else {}
    records = tuple(item for item in page.get("records") or () if isinstance(item, dict))
    following = _LOCATOR.search(str(page.get("nextRecordsUrl") or ""))
    return Page(records, following.group(1) if following and page.get("done") is not True else "")


def read_found(records: Sequence[Mapping[str, Any]], target: Target) -> dict[str, Found]:
    """Return records of a query by their external id."""
    found: dict[str, Found] = {}
    for record in records:
        external_id = str(record.get(target.external_id_field) or "")
        if external_id and record.get("Id"):
            fields = {name: read_value(record.get(name)) for name in target.fields}
            found[external_id] = Found(external_id, str(record["Id"]), fields)
    return found


def read_owners(records: Sequence[Mapping[str, Any]], target: Target) -> dict[str, str]:
    """Return Salesforce id to external id of the records of a query; empty where a record has none."""
    return {str(record["Id"]): str(record.get(target.external_id_field) or "") for record in records}


def read_value(value: Any) -> Any:
    """Return a value in the form in which it is written."""
    return utc_text(value) if isinstance(value, str) and _TIME.fullmatch(value) else value


def gaps(target: Target, describe: Any) -> list[str]:
    """Return what an object lacks for deliveries, one sentence each.

    The REST data API cannot create fields, so every gap is an administrator's to close.
    """
    shape: Mapping[str, Any] = describe if isinstance(describe, dict) else {}
    known = {str(item.get("name")): item for item in shape.get("fields") or () if isinstance(item, dict)}
    where = f"Salesforce {target.crm_object}"
    findings = [
        f"{where}: the connected user may not {verb} records"
        for verb, flag in (("create", "createable"), ("update", "updateable"))
        if shape.get(flag) is not True
    ]
    findings.extend(_key_gaps(where, target.external_id_field, known))
    for name in (*target.fields, *target.references):
        findings.extend(_field_gaps(f"{where}.{name}", known.get(name), reference=name in target.references))
    return findings


def _key_gaps(where: str, name: str, known: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    field = known.get(name)
    if field is None:
        yield (
            f"{where}.{name}: the external id field is missing; Salesforce's data API cannot create fields: create a "
            "text field of 36 characters, unique and external id, and give the connected user access to it"
        )
        return
    missing = [flag for flag in ("externalId", "unique") if field.get(flag) is not True]
    if missing:
        yield f"{where}.{name}: the external id field is not marked {' and '.join(missing)}"
    if field.get("createable") is not True or field.get("updateable") is not True:
        yield f"{where}.{name}: the connected user may not write the external id field"


def _field_gaps(where: str, field: Mapping[str, Any] | None, *, reference: bool) -> Iterator[str]:
    if field is None:
        yield (
            f"{where}: there is no such field or the connected user may not see it; Salesforce's data API cannot "
            "create fields: create it there or take it out of the policy"
        )
        return
    if field.get("createable") is not True or field.get("updateable") is not True:
        yield f"{where}: the field cannot be both created and updated by the connected user"
    if reference and field.get("type") != "reference":
        yield f"{where}: the field is not a reference"


def _collection(target: Target, writes: Sequence[Write]) -> dict[str, Any]:
    return {"allOrNone": False, "records": [_record(target, write) for write in writes]}


def _record(target: Target, write: Write) -> dict[str, Any]:
    identity = {"Id": write.crm_id} if write.crm_id else {}
    return {
        "attributes": {"type": target.crm_object},
        **_columns(write),
        **identity,
        target.external_id_field: write.external_id,
    }


def _columns(write: Write) -> dict[str, Any]:
    links = {reference.name: reference.crm_ids[0] for reference in write.references if reference.crm_ids}
    return {**write.fields, **links}


def _mismatched(write: Write, item: Any) -> bool:
    told = str(item.get("id") or "") if isinstance(item, dict) else ""
    return bool(write.crm_id and told) and told[:_ID_CHARS] != write.crm_id[:_ID_CHARS]


def _outcome(write: Write, item: Any) -> Outcome:
    if not isinstance(item, dict):
        return Failed(_MISCOUNT)
    if item.get("success") is True:
        return Written(str(item.get("id") or write.crm_id), created=item.get("created") is True)
    errors = [entry for entry in item.get("errors") or () if isinstance(entry, dict)]
    return Failed(error_of_record(errors[0] if errors else {}, write))


def _root(version: str) -> str:
    return f"/services/data/{version}"
