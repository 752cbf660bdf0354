"""Owns `query` and `queryAll`: SOQL over an org's records, in pages of 2,000."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from headwater.sandbox.call import Answer, Call, route
from headwater.sandbox.salesforce import changes, rows, setup, soql
from headwater.sandbox.salesforce.describe import Field, Sobject, sobject
from headwater.sandbox.salesforce.errors import RowError, refusal
from headwater.sandbox.salesforce.ids import full
from headwater.sandbox.salesforce.requests import version_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from headwater.sandbox.desk import Desk
    from headwater.sandbox.store.records import Record

PAGE_MAX = 2_000
PAGE_MIN = 200
OLDEST, NEWEST = 31, 64
"""Versions of the API that are served."""
CURSORS_MAX = 10
"""Open queries of an org; the oldest is forgotten when one more is opened (Salesforce: 10 per user)."""
_BATCH = re.compile(r"batchsize\s*=\s*(\d+)", re.IGNORECASE)
_NO_TYPE = (
    "sObject type '{}' is not supported. If you are attempting to use a custom object, be sure to append the '__c' "
    "after the entity name. Please reference your WSDL or the describe call for the appropriate names."
)
_NO_COLUMN = (
    "No such column '{}' on entity '{}'. If you are attempting to use a custom field, be sure to append the '__c' "
    "after the custom field name. Please reference your WSDL or the describe call for the appropriate names."
)


@dataclass(frozen=True, slots=True)
class _Path:
    """A field, or a field of the record that a reference points at."""

    field: Field
    through: Field | None = None
    other: Sobject | None = None


class _Run:
    """One query over one org."""

    def __init__(self, desk: Desk, query: soql.Query, *, archived: bool) -> None:
        found = sobject(query.source)
        if found is None:
            message = soql.located(query.text, query.source_column, _NO_TYPE.format(query.source))
            raise soql.SoqlError(RowError("INVALID_TYPE", message))
        self.kind = found
        self._desk = desk
        self._query = query
        self._archived = archived
        self._paths = {path.lower(): self._path(path) for path in self._named(query)}
        self._wanted: dict[int, list[Any]] = {}

    def found(self) -> list[Record]:
        query = self._query
        last = None if query.limit is None else query.offset + query.limit
        holding = (one for one in self._candidates() if query.where is None or self._holds(query.where, one))
        if self._is_by_change():
            return list(islice(holding, query.offset, last))
        records = list(holding)
        for order in reversed(query.order):
            full_keys = [(self._key(one, order.path), one) for one in records]
            filled = [pair for pair in full_keys if pair[0] is not None]
            filled.sort(key=lambda pair: pair[0], reverse=order.down)
            empty = [one for key, one in full_keys if key is None]
            sorted_ones = [one for _, one in filled]
            records = [*sorted_ones, *empty] if order.nulls_last else [*empty, *sorted_ones]
        return records[query.offset : last]

    def shown(self, record: Record, version: str) -> dict[str, Any]:
        told = rows.shown(record, self.kind, version, ("Id",))
        told.pop("Id")
        for text in self._query.paths:
            path = self._paths[text.lower()]
            if path.through is None:
                told[path.field.name] = rows.read(record, path.field.name)
                continue
            other = self._other(record, path)
            name = str(path.through.relationship)
            if other is None or path.other is None:
                told.setdefault(name, None)
            else:
                base = told.get(name) or rows.shown(other, path.other, version, ("Id",))
                if "Id" in base and name not in told:
                    base.pop("Id")
                told[name] = {**base, path.field.name: rows.read(other, path.field.name)}
        return told

    def folded(self, records: Sequence[Record]) -> dict[str, Any]:
        """The one row of the query's aggregates; rows without a value count for none."""
        told: dict[str, Any] = {"attributes": {"type": "AggregateResult"}}
        for fold in self._query.folds:
            path = self._paths[fold.path.lower()]
            values = [value for one in records if (value := self._value(one, path)) is not None]
            if fold.how == "count":
                told[fold.alias] = len(values)
            else:
                pick = max if fold.how == "max" else min
                told[fold.alias] = pick(
                    values, default=None, key=lambda value: _comparable(path.field, value)
                )
        return told

    def _named(self, query: soql.Query) -> list[str]:
        def inside(condition: soql.Condition | None) -> list[str]:
            if condition is None:
                return []
            if isinstance(condition, soql.Compare):
                return [condition.path]
            return [path for part in condition.parts for path in inside(part)]

        folded = (fold.path for fold in query.folds)
        return [*query.paths, *folded, *inside(query.where), *(order.path for order in query.order)]

    def _path(self, text: str) -> _Path:
        first, _, rest = text.partition(".")
        if not rest:
            return _Path(self._field(self.kind, first))
        folded = {str(name).lower(): one for name, one in self.kind.relationships.items()}
        through = folded.get(first.lower())
        other = None if through is None else sobject(through.reference_to[0])
        if through is None or other is None:
            message = f"Didn't understand relationship '{first}' in field path."
            raise soql.SoqlError(RowError("INVALID_FIELD", self._at(text, message)))
        return _Path(self._field(other, rest), through, other)

    def _field(self, kind: Sobject, name: str) -> Field:
        found = kind.field(name)
        if found is None:
            raise soql.SoqlError(
                RowError("INVALID_FIELD", self._at(name, _NO_COLUMN.format(name, kind.name)))
            )
        return found

    def _at(self, name: str, message: str) -> str:
        return soql.located(self._query.text, self._query.text.lower().find(name.lower()) + 1, message)

    def _is_by_change(self) -> bool:
        """Whether the candidates come in the order that is asked for."""
        return changes.in_order(self._query.order) and self._pinned() is None

    def _pinned(self) -> soql.Compare | None:
        """The condition by which few rows are found; what is archived is found by its id only."""
        pin = self._pin(self._query.where)
        by_id = pin is not None and self._paths[pin.path.lower()].field.type == "id"
        return pin if by_id or not self._archived else None

    def _candidates(self) -> Iterable[Record]:
        """By index where the query pins an id, a look-up field or when rows changed, else every row."""
        records = self._desk.account.records
        pin = self._pinned()
        if pin is None:
            since_s, until_s = changes.seconds_of(self._query.where)
            if (since_s, until_s) != changes.EVER or changes.in_order(self._query.order):
                return records.changed(self.kind.name, since_s, until_s, archived=self._archived)
            after, upto = self._range(self._query.where)
            return records.between(self.kind.name, after, upto, archived=self._archived)
        field = self._paths[pin.path.lower()].field
        if field.type == "id":
            ids = {whole for value in pin.values if (whole := full(str(value))) is not None}
        else:
            ids = {one for value in pin.values for one in rows.ids_with(self._desk, self.kind, field, value)}
        find = records.find if self._archived else records.live
        found = (find(self.kind.name, one) for one in sorted(ids))
        return [one for one in found if one is not None]

    def _range(self, condition: soql.Condition | None) -> tuple[str, str]:
        """The ids that bound the rows by the conditions which all must hold; empty where nothing does."""
        parts = (
            condition.parts
            if isinstance(condition, soql.Combine) and condition.how == "and"
            else (condition,)
        )
        bounds = {"after": "", "upto": ""}
        for part in parts:
            if isinstance(part, soql.Compare) and self._paths[part.path.lower()].field.type == "id":
                side = {">": "after", ">=": "", "<": "upto", "<=": "upto"}.get(part.op, "")
                whole = full(str(part.values[0])) if side else None
                bounds |= {side: whole} if whole else {}
        return bounds["after"], bounds["upto"]

    def _pin(self, condition: soql.Condition | None) -> soql.Compare | None:
        if isinstance(condition, soql.Compare):
            path = self._paths[condition.path.lower()]
            indexed = path.through is None and (path.field.lookup or path.field.type == "id")
            pinned = indexed and condition.op in {"=", "in"} and None not in condition.values
            return condition if pinned else None
        if isinstance(condition, soql.Combine) and condition.how == "and":
            return next((pin for part in condition.parts if (pin := self._pin(part)) is not None), None)
        return None

    def _holds(self, condition: soql.Condition, record: Record) -> bool:
        if isinstance(condition, soql.Combine):
            if condition.how == "not":
                return not self._holds(condition.parts[0], record)
            join = all if condition.how == "and" else any
            return join(self._holds(part, record) for part in condition.parts)
        path = self._paths[condition.path.lower()]
        value = _comparable(path.field, self._value(record, path))
        wanted = self._wanted.get(id(condition))  # the same for every record: the query holds its conditions
        if wanted is None:
            wanted = [_comparable(path.field, one) for one in condition.values]
            self._wanted[id(condition)] = wanted
        return _compare(condition.op, value, wanted)

    def _key(self, record: Record, text: str) -> Any:
        path = self._paths[text.lower()]
        return _comparable(path.field, self._value(record, path))

    def _value(self, record: Record, path: _Path) -> Any:
        if path.through is None:
            return rows.read(record, path.field.name)
        other = self._other(record, path)
        return None if other is None else rows.read(other, path.field.name)

    def _other(self, record: Record, path: _Path) -> Record | None:
        if path.through is None or path.other is None:
            return None
        target = record.fields.get(path.through.name)
        return None if target is None else self._desk.account.records.live(path.other.name, str(target))


def _comparable(field: Field, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    if field.type in {"id", "reference"}:
        return full(text) or text
    if field.type == "datetime":
        return text.replace("Z", "+0000").replace("+00:00", "+0000").replace(".000", "")
    return text.casefold()


def _compare(op: str, value: Any, wanted: Sequence[Any]) -> bool:
    if op == "in":
        return value in wanted
    other = wanted[0]
    if op == "=":
        return bool(value == other)
    if op == "!=":
        return bool(value != other)
    if value is None or other is None or isinstance(value, str) != isinstance(other, str):
        return False
    if op == "like":
        pattern = re.escape(str(other)).replace("%", ".*").replace("_", ".")
        return re.fullmatch(pattern, str(value), re.DOTALL) is not None
    signs = {"<": value < other, "<=": value <= other, ">": value > other, ">=": value >= other}
    return bool(signs[op])


def _query(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    version_in(params)
    try:
        query = soql.parse(call.param("q"))
        if setup.knows(query.source):
            return setup.answer(desk, query)
        run = _Run(desk, query, archived=params["how"] == "queryAll")
        found = run.found()
    except soql.SoqlError as error:
        raise refusal(error.error) from error
    if query.count:
        return Answer(200, {"totalSize": len(found), "done": True, "records": []})
    if query.folds:
        return Answer(200, {"totalSize": 1, "done": True, "records": [run.folded(found)]})
    size = _page_size(call)
    page: dict[str, Any] = {"totalSize": len(found), "done": len(found) <= size}
    if len(found) > size:
        cursor = f"0r8{desk.new_id()[:12]}"
        ids = json.dumps([one.record_id for one in found])
        key = desk.account.key
        desk.account.database.run("insert_cursor", cursor, key, query.text, ids)
        desk.account.database.run("trim_cursors", key, key, CURSORS_MAX)
        page["nextRecordsUrl"] = f"/services/data/{params['version']}/query/{cursor}-{size}"
    page["records"] = [run.shown(one, params["version"]) for one in found[:size]]
    return Answer(200, page)


def _more(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    cursor, _, start_text = params["cursor"].rpartition("-")
    row = desk.account.database.one("find_cursor", cursor, desk.account.key)
    if row is None or not start_text.isdigit():
        raise refusal(RowError("INVALID_QUERY_LOCATOR", "invalid query locator"))
    start, size, ids = int(start_text), _page_size(call), json.loads(row[1])
    run = _Run(desk, soql.parse(row[0]), archived=True)
    records = (desk.account.records.find(run.kind.name, one) for one in ids[start : start + size])
    page: dict[str, Any] = {"totalSize": len(ids), "done": start + size >= len(ids)}
    if not page["done"]:
        page["nextRecordsUrl"] = f"/services/data/{params['version']}/query/{cursor}-{start + size}"
    page["records"] = [run.shown(one, params["version"]) for one in records if one is not None]
    return Answer(200, page)


def _page_size(call: Call) -> int:
    found = _BATCH.search(call.headers.get("sforce-query-options", ""))
    return min(PAGE_MAX, max(PAGE_MIN, int(found[1]))) if found else PAGE_MAX


def _only(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    return _query(call, desk, {**params, "how": "query"})


def _all(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    return _query(call, desk, {**params, "how": "queryAll"})


def _versions(_call: Call, _desk: Desk, _params: Mapping[str, str]) -> Answer:
    """Every version that is served, the oldest first."""
    numbers = (f"{number}.0" for number in range(OLDEST, NEWEST + 1))
    return Answer(
        200, [{"label": f"v{one}", "url": f"/services/data/v{one}", "version": one} for one in numbers]
    )


ROUTES = (
    route("GET", "/services/data", "versions", _versions),
    route("GET", "/services/data/{version}/query/{cursor}", "query", _more),
    route("GET", "/services/data/{version}/queryAll/{cursor}", "query", _more),
    route("GET", "/services/data/{version}/query", "query", _only),
    route("GET", "/services/data/{version}/queryAll", "query", _all),
)
