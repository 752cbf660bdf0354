"""HubSpot's rules as the sandbox keeps them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.sandbox.bench import Bench

CONTACTS = "/crm/v3/objects/contacts"
OURS = {
    "name": "headwater_id",
    "label": "Headwater id",
    "type": "string",
    "fieldType": "text",
    "groupName": "contactinformation",
    "hasUniqueValue": True,
}


@pytest.fixture
def bench() -> Bench:
    """A portal with a unique property of our own."""
    bench = Bench("hubspot")
    assert bench.call("POST", "/crm/v3/properties/contacts", OURS).status == 201
    return bench


def _upsert(bench: Bench, **values: dict[str, Any]) -> Any:
    inputs = [{"id": key, "idProperty": "headwater_id", "properties": one} for key, one in values.items()]
    return bench.call("POST", f"{CONTACTS}/batch/upsert", {"inputs": inputs})


def test_multi_status_tells_results_and_errors_apart(bench: Bench) -> None:
    """A 207 has each input once: as a result, or as an error whose context names it."""
    _upsert(bench, a={"email": "a@example.com"})
    answer = _upsert(
        bench, x={"email": "A@example.com"}, y={"email": "y@example.com"}, z={"email": "nonsense"}
    )
    page = answer.content
    assert (answer.status, page["status"], page["numErrors"]) == (207, "COMPLETE", 2)
    assert [one["properties"]["headwater_id"] for one in page["results"]] == ["y"]
    told = {one["context"]["ids"][0]: (one["status"], one["category"]) for one in page["errors"]}
    assert told == {"x": ("error", "CONFLICT"), "z": ("error", "VALIDATION_ERROR")}
    assert bench.effects() == ["created", "refused", "created", "refused"]


def test_batch_create_fails_whole_without_trace_ids(bench: Bench) -> None:
    """HubSpot isolates failures of a batch create only where every input carries an objectWriteTraceId."""
    good, bad = {"properties": {"email": "a@example.com"}}, {"properties": {"email": "nonsense"}}
    whole = bench.call("POST", f"{CONTACTS}/batch/create", {"inputs": [good, bad]})
    traced = [{**one, "objectWriteTraceId": str(n)} for n, one in enumerate((good, bad))]
    parts = bench.call("POST", f"{CONTACTS}/batch/create", {"inputs": traced})
    assert (whole.status, whole.content["category"]) == (400, "VALIDATION_ERROR")
    assert (parts.status, parts.content["errors"][0]["context"]) == (207, {"objectWriteTraceId": ["1"]})
    assert bench.account.records.count("contacts") == 1


def test_unknown_property_refuses_the_whole_request(bench: Bench) -> None:
    """PROPERTY_DOESNT_EXIST is an error of the request, not of an item."""
    answer = _upsert(bench, a={"email": "a@example.com"}, b={"nope": "1"})
    assert answer.status == 400
    assert answer.content["errors"][0]["code"] == "PROPERTY_DOESNT_EXIST"
    assert bench.account.records.count("contacts") == 0


def test_more_than_a_hundred_inputs_are_refused(bench: Bench) -> None:
    """A batch holds 100 inputs at most."""
    values = {f"k{n}": {"email": f"k{n}@example.com"} for n in range(101)}
    answer = _upsert(bench, **values)
    assert (answer.status, answer.content["category"]) == (400, "VALIDATION_ERROR")


def test_same_values_again_are_unchanged(bench: Bench) -> None:
    """Writing what is there changes neither record nor modification time, and the log says so."""
    first = _upsert(bench, a={"email": "a@example.com", "firstname": "Ann"}).content["results"][0]
    bench.now_ms += 5_000
    again = _upsert(bench, a={"firstname": "Ann"}).content["results"][0]
    assert (again["new"], again["updatedAt"]) == (False, first["updatedAt"])
    assert bench.effects() == ["created", "unchanged"]


def test_log_tells_what_changed(bench: Bench) -> None:
    """A change is logged with the values before and after and our own id."""
    _upsert(bench, a={"email": "a@example.com", "firstname": "Ann"})
    bench.now_ms += 1_000
    _upsert(bench, a={"firstname": "Anne"})
    line = bench.account.arrivals.page(0, 10)[-1]
    assert (line["effect"], line["external_id"], line["changes"]) == (
        "updated",
        "a",
        {"firstname": ["Ann", "Anne"]},
    )


def test_archived_contact_frees_its_email(bench: Bench) -> None:
    """A deleted contact is no conflict for a new one with its email."""
    made = bench.call("POST", CONTACTS, {"properties": {"email": "a@example.com"}}).content
    taken = bench.call("POST", CONTACTS, {"properties": {"email": "a@example.com"}})
    bench.call("DELETE", f"{CONTACTS}/{made['id']}")
    assert (taken.status, taken.content["message"]) == (
        409,
        f"Contact already exists. Existing ID: {made['id']}",
    )
    assert bench.call("POST", CONTACTS, {"properties": {"email": "a@example.com"}}).status == 201


@pytest.mark.parametrize(
    ("operator", "value", "found"),
    [
        ("EQ", "20", {"b"}),
        ("GT", "9", {"b", "c"}),
        ("GTE", "20", {"b", "c"}),
        ("LT", "20", {"a"}),
        ("HAS_PROPERTY", None, {"a", "b", "c"}),
    ],
)
def test_search_compares_numbers_as_numbers(
    bench: Bench, operator: str, value: str | None, found: set[str]
) -> None:
    """9 is less than 20 although "9" is more than "20"."""
    _upsert(
        bench,
        a={"followercount": "9"},
        b={"followercount": "20"},
        c={"followercount": "100"},
        d={"firstname": "D"},
    )
    filters = [{"propertyName": "followercount", "operator": operator, "value": value}]
    body = {"filterGroups": [{"filters": filters}], "properties": ["headwater_id"]}
    page = bench.call("POST", f"{CONTACTS}/search", body).content
    assert {one["properties"]["headwater_id"] for one in page["results"]} == found


def test_search_stops_at_ten_thousand(bench: Bench) -> None:
    """HubSpot pages through 10,000 results and no further."""
    answer = bench.call("POST", f"{CONTACTS}/search", {"filterGroups": [], "limit": 200, "after": "9900"})
    assert answer.status == 400
