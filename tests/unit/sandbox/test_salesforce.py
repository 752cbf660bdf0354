"""Salesforce's rules as the sandbox keeps them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.sandbox.bench import Bench

from headwater.sandbox.accounts import AccountOptions
from headwater.sandbox.salesforce.ids import full, record_id

DATA = "/services/data/v59.0"


@pytest.fixture
def bench() -> Bench:
    """An empty org."""
    return Bench("salesforce")


def _row(kind: str, **fields: Any) -> dict[str, Any]:
    return {"attributes": {"type": kind}, **fields}


def _upsert(bench: Bench, kind: str, *rows: dict[str, Any], whole: bool = False) -> Any:
    body = {"allOrNone": whole, "records": [{"attributes": {"type": kind}, **row} for row in rows]}
    return bench.call("PATCH", f"{DATA}/composite/sobjects/{kind}/Headwater_Id__c", body).content


def _code(answer: dict[str, Any]) -> str:
    return str(answer["errors"][0]["statusCode"])


@pytest.mark.parametrize(
    "known", ["0015500001QdZPKAA3", "0035500001H9kZuAAJ", "0065500000KQ12XAAT", "0035500001H9ka0AAB"]
)
def test_check_characters_are_those_of_real_ids(known: str) -> None:
    """Ids of real orgs, cut to 15 characters, get their own three check characters back."""
    assert full(known[:15]) == known


def test_ids_have_the_prefix_of_their_object() -> None:
    """An id is 18 characters, begins with the object's prefix and differs per number."""
    ids = {record_id("003", number) for number in range(500)}
    assert len(ids) == 500
    assert all(len(one) == 18 and one.startswith("003") and full(one) == one for one in ids)


def test_reference_by_external_id_is_resolved(bench: Bench) -> None:
    """A contact points at its account by our id; an unknown one fails in the vendor's words."""
    account = _upsert(bench, "Account", {"Headwater_Id__c": "acc", "Name": "Example"})[0]
    good = {"Headwater_Id__c": "c1", "LastName": "A", "Account": {"Headwater_Id__c": "acc"}}
    bad = {"Headwater_Id__c": "c2", "LastName": "B", "Account": {"Headwater_Id__c": "nope"}}
    told = _upsert(bench, "Contact", good, bad)
    row = bench.call("GET", f"{DATA}/sobjects/Contact/Headwater_Id__c/c1", fields="AccountId,Account").content
    assert row[0]["errorCode"] == "INVALID_FIELD"
    row = bench.call("GET", f"{DATA}/sobjects/Contact/Headwater_Id__c/c1", fields="AccountId").content
    assert row["AccountId"] == account["id"]
    expected = "Foreign key external ID: nope not found for field Headwater_Id__c in entity Account"
    assert told[1]["errors"][0]["message"] == expected


def test_all_or_none_undoes_everything(bench: Bench) -> None:
    """One bad row rolls the good ones back, and each says why."""
    told = _upsert(
        bench, "Contact", {"Headwater_Id__c": "a", "LastName": "A"}, {"Headwater_Id__c": "b"}, whole=True
    )
    assert [_code(one) for one in told] == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    assert bench.account.records.count("Contact") == 0
    assert bench.effects() == ["refused", "refused"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"LastName": "A", "Email": "nonsense"}, "INVALID_EMAIL_ADDRESS"),
        ({"LastName": "A" * 81}, "STRING_TOO_LONG"),
        ({"LastName": "A", "Nope__c": 1}, "INVALID_FIELD"),
        ({"LastName": "A", "CleanStatus": "Nope"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"LastName": "A", "CreatedDate": "2024-01-01T00:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"LastName": "A", "AccountId": "0015500001QdZPKAA3"}, "INVALID_CROSS_REFERENCE_KEY"),
        ({"FirstName": "A"}, "REQUIRED_FIELD_MISSING"),
    ],
)
def test_bad_field_fails_its_row(bench: Bench, fields: dict[str, Any], code: str) -> None:
    """Each rule of the describe has its error code."""
    assert _code(_upsert(bench, "Contact", {"Headwater_Id__c": "a", **fields})[0]) == code


def test_same_external_id_twice_in_a_request_fails_both(bench: Bench) -> None:
    """Salesforce does not guess which of two rows is meant."""
    twins = _upsert(bench, "Contact", *({"Headwater_Id__c": "a", "LastName": name} for name in "XY"))
    assert [_code(one) for one in twins] == ["DUPLICATE_VALUE", "DUPLICATE_VALUE"]


def test_duplicate_rule_refuses_a_second_contact_when_on(bench: Bench) -> None:
    """Off by default; on, the refusal names the record that is there."""
    body = {"LastName": "A", "Email": "a@example.com"}
    first = bench.call("POST", f"{DATA}/sobjects/Contact", body).content
    assert bench.call("POST", f"{DATA}/sobjects/Contact", body).status == 201
    bench.account.set_options(AccountOptions(duplicate_rule=True), bench.now_ms)
    refused = bench.call("POST", f"{DATA}/sobjects/Contact", body)
    result = refused.content[0]["duplicateResult"]["matchResults"][0]["matchRecords"]
    assert (refused.status, refused.content[0]["errorCode"]) == (400, "DUPLICATES_DETECTED")
    assert first["id"] in {one["record"]["Id"] for one in result}


def test_several_matches_of_a_lookup_are_multiple_choices(bench: Bench) -> None:
    """An upsert by a value that two rows share does nothing and names both."""
    for _ in range(2):
        bench.call("POST", f"{DATA}/sobjects/Contact", {"LastName": "A", "Email": "a@example.com"})
    answer = bench.call("PATCH", f"{DATA}/sobjects/Contact/Email/a@example.com", {"LastName": "B"})
    assert (answer.status, len(answer.content)) == (300, 2)


def test_composite_uses_earlier_answers(bench: Bench) -> None:
    """A later call refers to the id that an earlier one made."""
    steps = [
        {
            "method": "POST",
            "url": f"{DATA}/sobjects/Account",
            "referenceId": "a",
            "body": {"Name": "Example"},
        },
        {
            "method": "POST",
            "url": f"{DATA}/sobjects/Contact",
            "referenceId": "c",
            "body": {"LastName": "A", "AccountId": "@{a.id}"},
        },
    ]
    told = bench.call("POST", f"{DATA}/composite", {"compositeRequest": steps}).content["compositeResponse"]
    assert [one["httpStatusCode"] for one in told] == [201, 201]
    soql = "SELECT Account.Name FROM Contact"
    assert bench.call("GET", f"{DATA}/query", q=soql).content["records"][0]["Account"]["Name"] == "Example"


def test_composite_all_or_none_undoes_everything(bench: Bench) -> None:
    """A failed call undoes the others, which say so."""
    steps = [
        {
            "method": "POST",
            "url": f"{DATA}/sobjects/Account",
            "referenceId": "a",
            "body": {"Name": "Example"},
        },
        {"method": "POST", "url": f"{DATA}/sobjects/Contact", "referenceId": "c", "body": {}},
    ]
    body = {"allOrNone": True, "compositeRequest": steps}
    told = bench.call("POST", f"{DATA}/composite", body).content["compositeResponse"]
    assert [one["body"][0]["errorCode"] for one in told] == ["PROCESSING_HALTED", "REQUIRED_FIELD_MISSING"]
    assert bench.account.records.count("Account") == 0


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("LastName = 'b'", ["B"]),
        ("LastName IN ('A', 'C')", ["A", "C"]),
        ("LastName NOT IN ('A', 'C')", ["B"]),
        ("LastName LIKE '%' AND NOT (LastName = 'A' OR LastName = 'B')", ["C"]),
        ("Headwater_Id__c = 'k-b'", ["B"]),
        ("Email = null", ["B", "C"]),
        ("Email != null", ["A"]),
        ("CreatedDate >= 2020-01-01T00:00:00Z", ["A", "B", "C"]),
        ("CreatedDate < 2020-01-01T00:00:00Z", []),
        (r"FirstName = 'O\'Neil'", ["C"]),
    ],
)
def test_query_filters(bench: Bench, where: str, found: list[str]) -> None:
    """Each operator of the subset finds what it should."""
    rows = [
        {"Headwater_Id__c": "k-a", "LastName": "A", "Email": "a@example.com"},
        {"Headwater_Id__c": "k-b", "LastName": "B"},
        {"Headwater_Id__c": "k-c", "LastName": "C", "FirstName": "O'Neil"},
    ]
    _upsert(bench, "Contact", *rows)
    soql = f"SELECT LastName FROM Contact WHERE {where} ORDER BY LastName"  # noqa: S608 - no SQL
    answer = bench.call("GET", f"{DATA}/query", q=soql)
    assert [one["LastName"] for one in answer.content["records"]] == found


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT FROM Contact", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE", "MALFORMED_QUERY"),
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "MALFORMED_QUERY"),
        ("SELECT Nope FROM Contact", "INVALID_FIELD"),
        ("SELECT Id FROM Nope", "INVALID_TYPE"),
        ("SELECT Nope.Id FROM Contact", "INVALID_FIELD"),
    ],
)
def test_query_outside_the_subset_is_refused(bench: Bench, soql: str, code: str) -> None:
    """What cannot be answered is refused, never answered wrongly."""
    answer = bench.call("GET", f"{DATA}/query", q=soql)
    assert (answer.status, answer.content[0]["errorCode"]) == (400, code)


def test_aggregates_fold_the_rows_of_a_range_of_ids(bench: Bench) -> None:
    """COUNT, MAX and MIN under their aliases, or under a number; nothing counts as 0 and as null."""
    ids = [
        bench.call("POST", f"{DATA}/sobjects/Contact", {"LastName": name}).content["id"]
        for name in ("A", "B", "C")
    ]
    soql = f"SELECT COUNT(Id) total, MAX(LastName), MIN(LastName) first FROM Contact WHERE Id > '{ids[0]}'"  # noqa: S608 - no SQL
    answer = bench.call("GET", f"{DATA}/query", q=soql).content
    assert answer["records"] == [
        {"attributes": {"type": "AggregateResult"}, "total": 2, "expr1": "C", "first": "B"}
    ]
    none = f"SELECT COUNT(Id) total, MAX(LastName) last FROM Contact WHERE Id > '{ids[2]}'"  # noqa: S608 - no SQL
    [row] = bench.call("GET", f"{DATA}/query", q=none).content["records"]
    assert (row["total"], row["last"]) == (0, None)


def test_the_versions_that_are_served_are_listed() -> None:
    """The oldest first, as Salesforce does."""
    versions = [item["version"] for item in Bench("salesforce").call("GET", "/services/data").content]
    assert (versions[0], "61.0" in versions) == ("31.0", True)
