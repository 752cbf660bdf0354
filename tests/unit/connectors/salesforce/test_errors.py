"""Salesforce's error table: whole calls and single records."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headwater.connectors.base import ErrorClass, Reference, Write
from headwater.connectors.base.http import Answer
from headwater.connectors.salesforce.errors import concerns_records, error_of, error_of_record

NEW = Write("e", "", {"LastName": "x"})
KNOWN = Write("e", "003A", {}, (Reference("AccountId", ("001A",)),))
LINKED = Write("e", "", {}, (Reference("AccountId", ("001A",)),))


def refused(status: int, code: str, message: str = "x") -> Answer:
    """Return a whole refusal."""
    return Answer(status, {}, json.dumps([{"errorCode": code, "message": message}]).encode())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refused(401, "INVALID_SESSION_ID"), ErrorClass.AUTH),
        (refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), ErrorClass.QUOTA),
        (
            refused(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Long Running) Limit exceeded."),
            ErrorClass.RATE_LIMIT,
        ),
        (refused(429, "SOMETHING_NEW"), ErrorClass.RATE_LIMIT),
        (refused(403, "API_DISABLED_FOR_ORG"), ErrorClass.PERMISSION),
        (refused(404, "NOT_FOUND"), ErrorClass.FORMAT),
        (
            refused(400, "INVALID_FIELD", "No such column 'Foo__c' on sobject of type Contact"),
            ErrorClass.FORMAT,
        ),
        (refused(400, "UNABLE_TO_LOCK_ROW"), ErrorClass.SERVER),
        (refused(503, "SERVER_UNAVAILABLE"), ErrorClass.SERVER),
        (refused(502, "SERVER_UNAVAILABLE"), ErrorClass.IN_DOUBT),
        (Answer(503, {}, b"<html><title>Down for Maintenance</title></html>"), ErrorClass.SERVER),
        (refused(418, "SOMETHING_NEW"), ErrorClass.FORMAT),
    ],
)
def test_error_of_classifies_a_whole_call(answer: Answer, expected: ErrorClass) -> None:
    """The code decides where it is known, else the status."""
    assert error_of(answer, writes=True).error_class is expected


@pytest.mark.parametrize(
    ("code", "fields", "write", "expected"),
    [
        ("REQUIRED_FIELD_MISSING", ["LastName"], NEW, ErrorClass.VALIDATION),
        ("STRING_TOO_LONG", ["LastName"], NEW, ErrorClass.VALIDATION),
        ("INVALID_EMAIL_ADDRESS", ["Email"], NEW, ErrorClass.VALIDATION),
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", [], NEW, ErrorClass.VALIDATION),
        ("JSON_PARSER_ERROR", ["Birthdate"], NEW, ErrorClass.VALIDATION),
        ("INVALID_FIELD", [], NEW, ErrorClass.FORMAT),
        ("UNABLE_TO_LOCK_ROW", [], NEW, ErrorClass.SERVER),
        ("DUPLICATES_DETECTED", [], NEW, ErrorClass.CONFLICT),
        ("DUPLICATE_VALUE", [], NEW, ErrorClass.CONFLICT),
        ("ENTITY_IS_DELETED", [], KNOWN, ErrorClass.NOT_FOUND),
        ("NOT_FOUND", [], KNOWN, ErrorClass.NOT_FOUND),
        ("INVALID_CROSS_REFERENCE_KEY", [], KNOWN, ErrorClass.NOT_FOUND),
        ("INVALID_CROSS_REFERENCE_KEY", ["AccountId"], KNOWN, ErrorClass.REFERENCE),
        ("ENTITY_IS_DELETED", [], LINKED, ErrorClass.REFERENCE),
        ("INVALID_CROSS_REFERENCE_KEY", [], NEW, ErrorClass.VALIDATION),
        ("SOMETHING_NEW", [], NEW, ErrorClass.VALIDATION),
    ],
)
def test_error_of_record_classifies(code: str, fields: list[str], write: Write, expected: ErrorClass) -> None:
    """What an id code is about depends on how the record was addressed and on its references."""
    entry = {"statusCode": code, "message": "x", "fields": fields}
    assert error_of_record(entry, write).error_class is expected


def duplicates(*ids: str, member: str = "duplicateResult") -> dict[str, Any]:
    """Return a DUPLICATES_DETECTED with these matches."""
    records = [{"record": {"Id": one}, "matchConfidence": 100.0} for one in ids]
    return {
        "statusCode": "DUPLICATES_DETECTED",
        "message": "x",
        member: {"matchResults": [{"matchRecords": records}]},
    }


def test_error_of_record_names_the_one_existing_record() -> None:
    """One match may be adopted, several may not be chosen from."""
    assert error_of_record(duplicates("003A"), NEW).existing_crm_id == "003A"
    assert error_of_record(duplicates("003A", member="duplicateResut"), NEW).existing_crm_id == "003A"
    assert error_of_record(duplicates("003A", "003B"), NEW).existing_crm_id == ""
    value = {
        "statusCode": "DUPLICATE_VALUE",
        "message": "duplicate value found: X__c duplicates value on record with id: 003000000000001",
    }
    assert error_of_record(value, NEW).existing_crm_id == "003000000000001"


def test_concerns_records_splits_only_where_a_record_may_be_to_blame() -> None:
    """A column of some records or a bad value is isolated; a quota is not."""
    column = error_of(
        refused(400, "INVALID_FIELD", "No such column 'Foo__c' on sobject of type Contact"), writes=True
    )
    assert (column.field, concerns_records(column)) == ("Foo__c", True)
    assert concerns_records(error_of(refused(400, "JSON_PARSER_ERROR"), writes=True))
    assert not concerns_records(error_of(refused(403, "REQUEST_LIMIT_EXCEEDED"), writes=True))
