"""HubSpot's error table: every shape of refusal in its class."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headwater.connectors.base import ErrorClass
from headwater.connectors.base.http import Answer
from headwater.connectors.hubspot.errors import concerns_records, error_of

FAULTS = '[{"isValid":false,"message":"Email address x is invalid","error":"INVALID_EMAIL","name":"email"}]'
UNKNOWN = '[{"isValid":false,"message":"Property \\"foo\\" does not exist","error":"PROPERTY_DOESNT_EXIST","name":"foo"}]'


def refused(status: int, **body: Any) -> Answer:
    """Return a JSON refusal."""
    return Answer(status, {}, json.dumps({"status": "error", **body}).encode())


@pytest.mark.parametrize(
    ("answer", "expected", "code"),
    [
        (
            refused(400, category="VALIDATION_ERROR", message=f"Property values were not valid: {FAULTS}"),
            ErrorClass.VALIDATION,
            "INVALID_EMAIL",
        ),
        (
            refused(400, category="VALIDATION_ERROR", message=f"Property values were not valid: {UNKNOWN}"),
            ErrorClass.FORMAT,
            "PROPERTY_DOESNT_EXIST",
        ),
        (
            refused(400, category="VALIDATION_ERROR", message='Property "foo" does not exist'),
            ErrorClass.FORMAT,
            "PROPERTY_DOESNT_EXIST",
        ),
        (
            refused(
                400,
                category="VALIDATION_ERROR",
                message="no",
                errors=[{"code": "INVALID_OPTION", "message": "z", "context": {"propertyName": ["stage"]}}],
            ),
            ErrorClass.VALIDATION,
            "INVALID_OPTION",
        ),
        (
            refused(
                400,
                category="VALIDATION_ERROR",
                message="Unable to perform update/upsert by non-unique 0-1 x",
            ),
            ErrorClass.FORMAT,
            "VALIDATION_ERROR",
        ),
        (
            refused(400, category="VALIDATION_ERROR", message="Invalid input JSON on line 1"),
            ErrorClass.FORMAT,
            "VALIDATION_ERROR",
        ),
        (
            refused(409, category="CONFLICT", message="Contact already exists. Existing ID: 51"),
            ErrorClass.CONFLICT,
            "CONFLICT",
        ),
        (refused(404, category="OBJECT_NOT_FOUND", message="gone"), ErrorClass.NOT_FOUND, "OBJECT_NOT_FOUND"),
        (
            refused(401, category="EXPIRED_AUTHENTICATION", message="x"),
            ErrorClass.AUTH,
            "EXPIRED_AUTHENTICATION",
        ),
        (refused(403, category="MISSING_SCOPES", message="x"), ErrorClass.PERMISSION, "MISSING_SCOPES"),
        (
            refused(429, errorType="RATE_LIMIT", policyName="TEN_SECONDLY_ROLLING"),
            ErrorClass.RATE_LIMIT,
            "HTTP_429",
        ),
        (refused(429, category="RATE_LIMITS", policyName="DAILY"), ErrorClass.QUOTA, "RATE_LIMITS"),
        (refused(500, category="INTERNAL_ERROR", message="x"), ErrorClass.SERVER, "HTTP_500"),
        (refused(502, message="x"), ErrorClass.IN_DOUBT, "HTTP_502"),
        (refused(423, message="locked"), ErrorClass.SERVER, "HTTP_423"),
        (Answer(404, {}, b"<html><body>Not Found</body></html>"), ErrorClass.FORMAT, "HTTP_404"),
    ],
)
def test_error_of_classifies(answer: Answer, expected: ErrorClass, code: str) -> None:
    """The inner code decides, then the category, then the status."""
    error = error_of(answer, writes=True)
    assert (error.error_class, error.code) == (expected, code)


def test_error_of_reads_the_existing_record_and_the_property() -> None:
    """A conflict names the record to adopt, a bad value its property."""
    conflict = error_of(
        refused(409, category="CONFLICT", message="Contact already exists. Existing ID: 51"), writes=True
    )
    held = error_of(
        refused(400, category="VALIDATION_ERROR", message="Cannot set x on 1. 456 already has that value."),
        writes=True,
    )
    invalid = error_of(refused(400, category="VALIDATION_ERROR", message=f"bad: {FAULTS}"), writes=True)
    assert (conflict.existing_crm_id, held.existing_crm_id, invalid.field) == ("51", "456", "email")
    assert held.error_class is ErrorClass.CONFLICT


def test_error_of_puts_the_mapping_fault_before_the_value_fault() -> None:
    """With an unknown property in the message no value is to blame."""
    both = FAULTS[:-1] + "," + UNKNOWN[1:]
    assert (
        error_of(refused(400, category="VALIDATION_ERROR", message=f"bad: {both}"), writes=True).field
        == "foo"
    )


def test_concerns_records_keeps_request_wide_faults_whole() -> None:
    """A malformed request is not split; a bad value is."""
    wide = error_of(refused(400, category="VALIDATION_ERROR", message="Invalid input JSON"), writes=True)
    value = error_of(refused(400, category="VALIDATION_ERROR", message=f"bad: {FAULTS}"), writes=True)
    assert (concerns_records(wide), concerns_records(value)) == (False, True)
