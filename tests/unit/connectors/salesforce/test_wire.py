"""Salesforce's requests and answers."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.connectors.scripted import CONTACT

from headwater.connectors.base import ErrorClass, Failed, Reference, Write, Written
from headwater.connectors.salesforce import wire


def test_requests_put_keys_and_references_into_the_record() -> None:
    """The external id goes along always, the record id only where it is known; a lookup takes the first id."""
    link = Reference("AccountId", ("001A", "001B"))
    upsert = wire.upsert_request("v61.0", CONTACT, [Write("e", "", {"LastName": None}, (link,))])
    update = wire.update_request("v61.0", CONTACT, [Write("e", "003A", {})])
    assert upsert.path == "/services/data/v61.0/composite/sobjects/Contact/Headwater_Id__c"
    assert upsert.body == {
        "allOrNone": False,
        "records": [
            {
                "attributes": {"type": "Contact"},
                "LastName": None,
                "AccountId": "001A",
                "Headwater_Id__c": "e",
            }
        ],
    }
    assert update.path == "/services/data/v61.0/composite/sobjects"
    assert update.body["records"] == [
        {"attributes": {"type": "Contact"}, "Id": "003A", "Headwater_Id__c": "e"}
    ]


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_read_outcomes_follows_the_promised_order(fine: list[bool]) -> None:
    """Any subset may fail; each outcome stays with its record."""
    writes = [Write(f"e{number}", "", {}) for number in range(len(fine))]
    body = [
        {"id": f"003{number}", "success": True, "errors": [], "created": True}
        if good
        else {
            "success": False,
            "errors": [{"statusCode": "STRING_TOO_LONG", "message": "x", "fields": ["LastName"]}],
        }
        for number, good in enumerate(fine)
    ]
    outcomes = wire.read_outcomes(body, writes)
    for number, good in enumerate(fine):
        outcome = outcomes[f"e{number}"]
        if good:
            assert outcome == Written(f"003{number}", created=True)
        else:
            assert isinstance(outcome, Failed)
            assert outcome.error.field == "LastName"


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"oops": 1},
        [{"id": "003000000000002AAA", "success": True}, {"id": "003000000000001AAA", "success": True}],
    ],
)
def test_read_outcomes_is_partial_when_items_cannot_be_matched(body: Any) -> None:
    """Wrong count, wrong shape or an id of another record: nothing is believed."""
    writes = [Write("a", "003000000000001AAA", {}), Write("b", "003000000000002AAA", {})]
    for outcome in wire.read_outcomes(body, writes).values():
        assert isinstance(outcome, Failed)
        assert outcome.error.error_class is ErrorClass.PARTIAL


@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=60), st.integers(300, 2000))
def test_look_up_queries_ask_for_every_id_within_the_bound(ids: list[str], chars_max: int) -> None:
    """Chunks cover all ids once; none is longer than the bound unless it holds a single id."""
    queries = list(wire.look_up_queries(CONTACT, ids, chars_max))
    literals = [wire.soql_text(one) for one in dict.fromkeys(ids)]
    head = queries[0].split(" IN (", 1)[0] + " IN ("
    assert "".join(query.removeprefix(head).removesuffix(")") + "," for query in queries) == "".join(
        literal + "," for literal in literals
    )
    for query in queries:
        alone = query.removeprefix(head).removesuffix(")") in literals
        assert alone or len(quote_plus(query)) <= chars_max


@given(st.text())
def test_soql_text_cannot_be_left(value: str) -> None:
    """No value ends its own literal: every quote inside is escaped, every escape is complete."""
    inner = wire.soql_text(value)[1:-1]
    index = 0
    while index < len(inner):
        assert inner[index] != "'"
        index += 2 if inner[index] == "\\" else 1
    assert index == len(inner)


def test_read_page_keeps_the_locator_only() -> None:
    """The next page is asked at our own base URL, whatever the answer's path says."""
    page = wire.read_page(
        {"done": False, "records": [{"Id": "1"}], "nextRecordsUrl": "/services/data/v61.0/query/01gX-2000"}
    )
    assert page.locator == "01gX-2000"
    assert wire.read_page({"done": True, "records": [], "nextRecordsUrl": "/query/01g"}).locator == ""
    assert wire.read_page({"done": False, "nextRecordsUrl": "https://evil.test/?x"}).locator == ""
