"""Queries by when rows changed: what the index leaves out, the condition would have left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.sandbox.bench import START_MS, Bench

from headwater.sandbox.salesforce.values import stamp

DATA: Final = "/services/data/v59.0"
SECONDS: Final = 12
ROWS: Final = 40
OPERATORS: Final = {
    "=": lambda value, wanted: value == wanted,
    "!=": lambda value, wanted: value != wanted,
    "<": lambda value, wanted: value < wanted,
    "<=": lambda value, wanted: value <= wanted,
    ">": lambda value, wanted: value > wanted,
    ">=": lambda value, wanted: value >= wanted,
}
FIELDS: Final = ("SystemModstamp", "Id", "LastName")
comparisons = st.tuples(st.sampled_from(FIELDS), st.sampled_from(sorted(OPERATORS)), st.integers(-1, ROWS))
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner), st.tuples(st.sampled_from(("and", "or")), inner, inner)
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def bench() -> Bench:
    """Contacts made over some seconds, several in each, changed later or put into the bin."""
    made = Bench("salesforce")
    ids = []
    for number in range(ROWS):
        made.now_ms = START_MS + number * 7_919 % (SECONDS * 1000)
        body = {"LastName": f"N{number:02}"}
        ids.append(made.call("POST", f"{DATA}/sobjects/Contact", body).content["id"])
    for number in range(0, ROWS, 3):
        made.now_ms = START_MS + number * 104_729 % (SECONDS * 1000)
        path = f"{DATA}/sobjects/Contact/{ids[number]}"
        made.call("DELETE", path) if number % 2 else made.call("PATCH", path, {"FirstName": "Ana"})
    return made


def rows_of(bench: Bench, how: str, tail: str) -> list[dict[str, Any]]:
    """Return what a query for contacts finds."""
    soql = f"SELECT Id, SystemModstamp, LastName, IsDeleted FROM Contact{tail}"  # noqa: S608 - no SQL
    return list(bench.call("GET", f"{DATA}/{how}", q=soql).content["records"])


def wanted_of(field: str, number: int, rows: list[dict[str, Any]]) -> str:
    """Return the value that a condition compares with."""
    if field == "SystemModstamp":
        return stamp(START_MS + number % SECONDS * 1000)
    return str(rows[number % len(rows)][field])


def text_of(condition: Any, rows: list[dict[str, Any]]) -> str:
    """Return the condition as SOQL."""
    if condition[0] == "not":
        return f"(NOT {text_of(condition[1], rows)})"
    if condition[0] in {"and", "or"}:
        return f"({text_of(condition[1], rows)} {condition[0].upper()} {text_of(condition[2], rows)})"
    field, sign, number = condition
    value = wanted_of(field, number, rows)
    return f"{field} {sign} {value.replace('+0000', 'Z') if field == 'SystemModstamp' else repr(value)}"


def holds(condition: Any, row: Mapping[str, Any], rows: list[dict[str, Any]]) -> bool:
    """Tell whether a row keeps the condition."""
    if condition[0] == "not":
        return not holds(condition[1], row, rows)
    if condition[0] in {"and", "or"}:
        join = all if condition[0] == "and" else any
        return join([holds(part, row, rows) for part in condition[1:]])
    field, sign, number = condition
    return bool(OPERATORS[sign](row[field], wanted_of(field, number, rows)))


@settings(max_examples=300, deadline=None)
@given(
    conditions,
    st.sampled_from(("query", "queryAll")),
    st.sampled_from(
        ("", " ORDER BY SystemModstamp, Id", " ORDER BY SystemModstamp DESC, Id", " ORDER BY Id")
    ),
    st.integers(1, ROWS),
)
def test_what_is_found_is_what_keeps_the_condition(
    bench: Bench, condition: Any, how: str, order: str, limit: int
) -> None:
    """Any condition over stamps, ids and another field, in any order, cut at any limit, with the bin and without."""
    rows = rows_of(bench, how, "")
    kept = [row for row in rows if holds(condition, row, rows)]
    found = rows_of(bench, how, f" WHERE {text_of(condition, rows)}{order}")
    assert sorted(row["Id"] for row in found) == sorted(row["Id"] for row in kept)
    if order:
        kept.sort(key=lambda row: row["Id"])
        if "SystemModstamp" in order:
            kept.sort(key=lambda row: row["SystemModstamp"], reverse="DESC" in order)
        assert found == kept
        assert rows_of(bench, how, f" WHERE {text_of(condition, rows)}{order} LIMIT {limit}") == kept[:limit]


def test_a_page_behind_a_place_reads_little_more_than_itself(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll's page of five rows in the order of change looks at the rows of the second where it begins, and at five."""
    looked: list[str] = []
    real = type(bench.account.records).changed

    def counted(*arguments: Any, **named: Any) -> Any:
        for record in real(*arguments, **named):
            looked.append(record.record_id)
            yield record

    monkeypatch.setattr(type(bench.account.records), "changed", counted)
    begin = stamp(START_MS + 5_000).replace("+0000", "Z")
    tail = f" WHERE SystemModstamp > {begin} OR (SystemModstamp = {begin} AND Id > '003') ORDER BY SystemModstamp, Id LIMIT 5"
    assert len(rows_of(bench, "queryAll", tail)) == 5
    assert 5 <= len(looked) <= 10
