"""What real Salesforce orgs were sent and answered, against our requests and our reading."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.contract.connectors import recordings

from headwater.connectors.base import ErrorClass, Target, Write, Written
from headwater.connectors.base.http import Answer
from headwater.connectors.salesforce import wire
from headwater.connectors.salesforce.errors import error_of

VERSION = "vxx.0"
COLLECTIONS = f"/services/data/{VERSION}/composite/sobjects"


def upserts() -> list[recordings.Exchange]:
    """Return recorded collection upserts that are keyed by a field other than the record id."""
    return [one for one in recordings.all_salesforce() if one.path.startswith(f"{COLLECTIONS}/Contact/Email")]


def unpacked(record: dict[str, Any], key: str) -> Write:
    """Return the write that a recorded record stands for."""
    plain = {name: value for name, value in record.items() if name not in {"attributes", key, "Id"}}
    return Write(record[key], record.get("Id") or "", plain)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.evidence("salesforce", "upsert", "recorded")
def test_upsert_request_and_answer_match_the_recording(number: int) -> None:
    """We send what was accepted, and read created and updated as they were answered, in order."""
    exchange = upserts()[number]
    target = Target("contact", "Contact", "Email", ("FirstName", "LastName"))
    writes = [unpacked(record, "Email") for record in exchange.sent()["records"]]
    request = wire.upsert_request(VERSION, target, writes)
    assert (request.method, request.path, request.body) == (exchange.method, exchange.path, exchange.sent())
    outcomes = wire.read_outcomes(exchange.answer.json(), writes)
    assert list(outcomes.values()) == [
        Written(item["id"], created=item["created"]) for item in exchange.answer.json()
    ]
    assert {outcome.created for outcome in outcomes.values() if isinstance(outcome, Written)} == (
        {True} if number == 0 else {True, False}
    )


@pytest.mark.evidence("salesforce", "upsert", "recorded")
def test_update_request_and_answer_match_the_recording() -> None:
    """Six updates by id: same method, path and records; `created` is absent and means no."""
    [exchange] = [
        one for one in recordings.all_salesforce() if one.method == "PATCH" and one.path == COLLECTIONS
    ]
    target = Target("account", "Account", "Headwater_Id__c")
    records = exchange.sent()["records"]
    writes = [
        unpacked({**record, "Headwater_Id__c": f"e{n}"}, "Headwater_Id__c")
        for n, record in enumerate(records)
    ]
    request = wire.update_request(VERSION, target, writes)
    ours = [
        {name: value for name, value in record.items() if name != "Headwater_Id__c"}
        for record in request.body["records"]
    ]
    assert (request.method, request.path, ours) == (exchange.method, exchange.path, records)
    assert list(wire.read_outcomes(exchange.answer.json(), writes).values()) == [
        Written(record["Id"], created=False) for record in records
    ]


@pytest.mark.parametrize(
    ("name", "inner", "code"),
    [
        ("TestCompositeParallelSalesforce.test_errors", 0, "NOT_FOUND"),
        ("TestCountSObjects.test_count_sobjects__errors", 1, "INVALID_TYPE"),
    ],
)
@pytest.mark.evidence("salesforce", "errors", "recorded")
def test_recorded_errors_are_format_faults(name: str, inner: int, code: str) -> None:
    """The inner answers of two composites: a path and an object that are not there."""
    part = recordings.salesforce(name)[0].answer.json()["compositeResponse"][inner]
    answer = Answer(part["httpStatusCode"], {}, json.dumps(part["body"]).encode())
    error = error_of(answer, writes=False)
    assert (error.error_class, error.code) == (ErrorClass.FORMAT, code)


@pytest.mark.evidence("salesforce", "look_up", "recorded")
def test_recorded_queries_are_read() -> None:
    """Every recorded query page without aggregates is one page of records with their ids."""
    pages = [one for one in recordings.all_salesforce() if one.path.endswith("/query/")]
    seen = 0
    for exchange in pages:
        page = wire.read_page(exchange.answer.json())
        assert (len(page.records), page.locator) == (exchange.answer.json()["totalSize"], "")
        seen += len(page.records)
    assert seen > 30


@pytest.mark.evidence("salesforce", "prepare", "recorded")
def test_gaps_of_a_real_describe() -> None:
    """A recorded Contact: unknown, read-only and non-reference fields are told, good ones are not."""
    target = Target(
        "contact",
        "Contact",
        "Headwater_Id__c",
        ("LastName", "Email", "Name", "Nope__c"),
        ("AccountId", "Title"),
    )
    findings = wire.gaps(target, recordings.describe("Contact"))
    told = " | ".join(findings)
    assert "Contact.Headwater_Id__c: the external id field is missing" in told
    assert "cannot create fields" in told
    assert "Contact.Name: the field cannot be both created and updated" in told
    assert "Contact.Nope__c: there is no such field" in told
    assert "Contact.Title: the field is not a reference" in told
    assert len(findings) == 4


@pytest.mark.evidence("salesforce", "prepare", "recorded")
def test_gaps_is_empty_once_an_administrator_added_the_field() -> None:
    """The recorded describe with a unique external id field is ready; without its flags it is not."""
    shape = recordings.describe("Contact")
    key = {
        "name": "Headwater_Id__c",
        "externalId": True,
        "unique": True,
        "createable": True,
        "updateable": True,
    }
    target = Target("contact", "Contact", "Headwater_Id__c", ("LastName", "Email"), ("AccountId",))
    assert wire.gaps(target, {**shape, "fields": [*shape["fields"], key]}) == []
    plain = {**key, "externalId": False, "unique": False}
    assert wire.gaps(target, {**shape, "fields": [*shape["fields"], plain]}) == [
        "Salesforce Contact.Headwater_Id__c: the external id field is not marked externalId and unique"
    ]


@pytest.mark.parametrize(
    ("sobject", "fields"),
    [
        ("Contact", ("FirstName", "LastName", "Email", "Phone", "Title", "AccountId")),
        ("Account", ("Name", "Website", "Phone", "Industry", "NumberOfEmployees")),
        ("Lead", ("FirstName", "LastName", "Company", "Email", "Status")),
        ("Opportunity", ("Name", "StageName", "Amount", "CloseDate", "AccountId")),
        ("Task", ("Subject", "Description", "ActivityDate", "Status", "WhoId", "WhatId")),
        ("Event", ("Subject", "StartDateTime", "EndDateTime", "WhoId", "WhatId")),
    ],
)
@pytest.mark.evidence("salesforce", "upsert", "vendor contract")
def test_records_hold_only_fields_of_the_generated_contract(sobject: str, fields: tuple[str, ...]) -> None:
    """Every column we build for these objects exists in Salesforce's own OpenAPI (the custom key aside)."""
    document = json.loads(
        (recordings.specs() / "salesforce" / "sobjects_v59.oas3.json").read_text(encoding="utf-8")
    )
    known = set(document["components"]["schemas"][f"{sobject}SObject"]["properties"])
    target = Target("contact", sobject, "Headwater_Id__c", fields)
    [record] = wire.upsert_request("v59.0", target, [Write("e", "", dict.fromkeys(fields, "x"))]).body[
        "records"
    ]
    assert set(record) - {"attributes", "Headwater_Id__c"} <= known
    assert record["attributes"]["type"] == sobject
