"""Owns HubSpot's search endpoint: filters, sorts, paging, and the 10,000-result cap."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from headwater.sandbox.call import Answer, Call, route
from headwater.sandbox.hubspot import rules, writing
from headwater.sandbox.hubspot.errors import ItemError, invalid, refusal
from headwater.sandbox.hubspot.requests import body_of, kind_in, whole
from headwater.sandbox.store.records import fold

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headwater.sandbox.desk import Desk
    from headwater.sandbox.hubspot.kinds import Kind
    from headwater.sandbox.store.records import Record

RESULTS_MAX = 10_000
PAGE_MAX = 200
GROUPS_MAX = 5
FILTERS_MAX = 18
_PAGE_USUAL = 10
_ID = "hs_object_id"
_TOKENS = re.compile(r"[^\w.*-]+")
_FREE_TEXT = ("email", "firstname", "lastname", "phone", "company", "name", "domain", "dealname", "website")

Filter = dict[str, Any]
Comparable = tuple[int, float | str]


def _search(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind, body = kind_in(desk, params), body_of(desk)
    limit = whole(desk, str(body.get("limit") or _PAGE_USUAL), "limit")
    after = whole(desk, str(body.get("after") or 0), "after")
    if limit > PAGE_MAX:
        raise invalid(desk, f"The requested limit is too large; the maximum is {PAGE_MAX}")
    if after + limit > RESULTS_MAX:
        raise invalid(desk, f"Paging through more than {RESULTS_MAX} results is not supported")
    groups = _groups(desk, kind, body)
    records = [record for record in _candidates(desk, kind, groups) if _fits(desk, kind, record, groups)]
    text = fold(body.get("query") or "")
    if text:
        records = [
            one for one in records if any(text in fold(one.fields.get(name, "")) for name in _FREE_TEXT)
        ]
    ordered = _sorted(desk, kind, records, body.get("sorts") or ())
    names = [str(name) for name in body.get("properties") or ()]
    page: dict[str, Any] = {
        "total": len(ordered),
        "results": [writing.shown(record, kind, names) for record in ordered[after : after + limit]],
    }
    if after + limit < len(ordered):
        page["paging"] = {"next": {"after": str(after + limit)}}
    return Answer(200, page)


def _groups(desk: Desk, kind: Kind, body: Mapping[str, Any]) -> list[list[Filter]]:
    groups = [list(group.get("filters") or ()) for group in body.get("filterGroups") or ()]
    if not groups and body.get("filters"):
        groups = [list(body["filters"])]
    filters = [one for group in groups for one in group]
    if len(groups) > GROUPS_MAX or len(filters) > FILTERS_MAX:
        raise invalid(desk, f"A search may have up to {GROUPS_MAX} filter groups and {FILTERS_MAX} filters")
    error = rules.unknown(desk.account, kind, (str(one.get("propertyName")) for one in filters))
    if error is not None:
        raise refusal(desk, ItemError(400, "VALIDATION_ERROR", error.message, error.errors))
    wrong = next((one for one in filters if one.get("operator") not in _OPERATORS), None)
    if wrong is not None:
        raise invalid(desk, f"Invalid input JSON: unknown operator {wrong.get('operator')}")
    return groups


def _candidates(desk: Desk, kind: Kind, groups: Sequence[Sequence[Filter]]) -> list[Record]:
    """By the index where every group pins a unique property, else everything."""
    found: dict[str, Record] = {}
    unique = rules.unique_names(desk.account, kind)
    for group in groups:
        pins = [
            one for one in group if one.get("propertyName") in unique and one.get("operator") in {"EQ", "IN"}
        ]
        if not pins:
            after, upto = _range(groups)
            return desk.account.records.between(kind.name, after, upto)
        values = pins[0].get("values") if pins[0]["operator"] == "IN" else [pins[0].get("value")]
        for value in values or ():
            record = writing.locate(desk, kind, str(value), str(pins[0]["propertyName"]))
            if record is not None:
                found[record.record_id] = record
    return sorted(found.values(), key=_age) if groups else desk.account.records.scan(kind.name)


def _range(groups: Sequence[Sequence[Filter]]) -> tuple[str, str]:
    """The ids that bound the results of one group; empty where nothing does."""
    bounds = {"GT": "", "LTE": ""}
    for one in groups[0] if len(groups) == 1 else ():
        if one.get("propertyName") == _ID and one.get("operator") in bounds:
            bounds[str(one["operator"])] = str(one.get("value") or "")
    return bounds["GT"], bounds["LTE"]


def _age(record: Record) -> tuple[int, str]:
    return record.created_ms, record.record_id


def _fits(desk: Desk, kind: Kind, record: Record, groups: Sequence[Sequence[Filter]]) -> bool:
    if not groups:
        return True
    return any(all(_holds(desk, kind, record, one) for one in group) for group in groups)


def _holds(desk: Desk, kind: Kind, record: Record, one: Filter) -> bool:
    name = str(one["propertyName"])
    known = rules.definition(desk.account, kind, name) or {"type": "string"}
    value = record.fields.get(name)
    return _OPERATORS[one["operator"]](str(known["type"]), value, one)


def _comparable(type_name: str, value: Any) -> Comparable:
    text = str(value)
    if type_name in {"datetime", "date"}:
        moment = rules.time_ms(text)
        return (0, float(moment)) if moment is not None else (1, text)
    if type_name == "number":
        try:
            return 0, float(text)
        except ValueError:
            return 1, text
    return 1, fold(text)


def _equal(type_name: str, value: Any, other: Any) -> bool:
    return value is not None and _comparable(type_name, value) == _comparable(type_name, other)


def _order(type_name: str, value: Any, other: Any) -> int | None:
    if value is None or other is None:
        return None
    left, right = _comparable(type_name, value), _comparable(type_name, other)
    return (left > right) - (left < right)


def _has_token(value: Any, wanted: Any) -> bool:
    if value is None:
        return False
    text = fold(value)
    words = {text, *_TOKENS.split(text), *re.split(r"\W+", text)}
    patterns = [part for part in _TOKENS.split(fold(wanted)) if part]
    return bool(patterns) and all(any(fnmatchcase(word, part) for word in words) for part in patterns)


_OPERATORS: dict[str, Callable[[str, Any, Filter], bool]] = {
    "EQ": lambda kind, value, one: _equal(kind, value, one.get("value")),
    "NEQ": lambda kind, value, one: not _equal(kind, value, one.get("value")),
    "IN": lambda kind, value, one: any(_equal(kind, value, other) for other in one.get("values") or ()),
    "NOT_IN": lambda kind, value, one: (
        not any(_equal(kind, value, other) for other in one.get("values") or ())
    ),
    "HAS_PROPERTY": lambda _kind, value, _one: value is not None,
    "NOT_HAS_PROPERTY": lambda _kind, value, _one: value is None,
    "CONTAINS_TOKEN": lambda _kind, value, one: _has_token(value, one.get("value")),
    "NOT_CONTAINS_TOKEN": lambda _kind, value, one: not _has_token(value, one.get("value")),
    "GT": lambda kind, value, one: _order(kind, value, one.get("value")) == 1,
    "GTE": lambda kind, value, one: _order(kind, value, one.get("value")) in {0, 1},
    "LT": lambda kind, value, one: _order(kind, value, one.get("value")) == -1,
    "LTE": lambda kind, value, one: _order(kind, value, one.get("value")) in {0, -1},
    "BETWEEN": lambda kind, value, one: (
        _order(kind, value, one.get("value")) in {0, 1}
        and _order(kind, value, one.get("highValue")) in {0, -1}
    ),
}


def _sorted(desk: Desk, kind: Kind, records: list[Record], sorts: Sequence[Any]) -> list[Record]:
    ordered = list(records)
    for sort in reversed(sorts):
        name, down = _direction(sort)
        known = rules.definition(desk.account, kind, name)
        if known is None:
            raise invalid(desk, f"Cannot sort by property {name}: it does not exist")
        type_name = str(known["type"])
        keyed = [(_comparable(type_name, one.fields[name]), one) for one in ordered if name in one.fields]
        keyed.sort(key=itemgetter(0), reverse=down)
        ordered = [*(one for _, one in keyed), *(one for one in ordered if name not in one.fields)]
    return ordered


def _direction(sort: Any) -> tuple[str, bool]:
    if isinstance(sort, str):
        return sort.removeprefix("-"), sort.startswith("-")
    return str(sort.get("propertyName")), sort.get("direction") == "DESCENDING"


ROUTES = (route("POST", "/crm/v3/objects/{kind}/search", "search", _search),)
