"""Pipedrive's refusals, limits and webhooks as values."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from headwater.connectors.base import ErrorClass, Reference, Write
from headwater.connectors.base.http import Answer
from headwater.connectors.base.webhooks import (
    Delivery,
    Rejected,
    SchemeSettings,
    Verified,
)
from headwater.connectors.pipedrive.auth import trusted_domain
from headwater.connectors.pipedrive.errors import error_of, error_of_record
from headwater.connectors.pipedrive.limits import read_limits
from headwater.connectors.pipedrive.webhook import BasicAuth
from headwater.kernel.errors import InvalidInput

SPENT = {"x-daily-ratelimit-token-limit": "30000", "x-daily-ratelimit-token-remaining": "0"}


def _answer(status: int, body: Any, **headers: str) -> Answer:
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"success": False, "error": "Bad request"}, ErrorClass.VALIDATION),
        (401, {"success": False, "error": "unauthorized access"}, ErrorClass.AUTH),
        (402, {"success": False, "error": "Payment required"}, ErrorClass.PERMISSION),
        (403, {"success": False, "error": "Scope and URL mismatch"}, ErrorClass.PERMISSION),
        (403, "<!DOCTYPE html><html><body>Blocked</body></html>", ErrorClass.RATE_LIMIT),
        (404, {"success": False, "error": "Person not found"}, ErrorClass.NOT_FOUND),
        (410, {"success": False, "error": "Gone"}, ErrorClass.NOT_FOUND),
        (429, {"success": False, "error": "request over limit"}, ErrorClass.RATE_LIMIT),
        (500, {"success": False, "error": "oops"}, ErrorClass.SERVER),
        (504, "<html><body>late</body></html>", ErrorClass.IN_DOUBT),
    ],
)
def test_the_status_decides(status: int, body: Any, expected: ErrorClass) -> None:
    """A page instead of JSON with a 403 is the network's block of who did not heed a 429."""
    error = error_of(_answer(status, body), writes=True)
    assert (error.error_class, error.http_status) == (expected, status)
    assert "<" not in error.message


def test_a_spent_day_is_no_busy_window() -> None:
    """The window's pause says nothing about midnight; a busy window says when it is over."""
    spent = error_of(Answer(429, {**SPENT, "retry-after": "2"}, b"{}"), writes=True)
    assert (spent.error_class, spent.retry_after_s) == (ErrorClass.QUOTA, None)
    busy = error_of(Answer(429, {"x-ratelimit-reset": "2"}, b"{}"), writes=True)
    assert (busy.error_class, busy.retry_after_s) == (ErrorClass.RATE_LIMIT, 2.0)


@pytest.mark.parametrize(
    ("words", "field", "expected"),
    [
        ("Validation failed: owner_id: must be an integer", "owner_id", ErrorClass.VALIDATION),
        ("Validation failed: custom_fields.abc: is not allowed", "Score", ErrorClass.FORMAT),
        ("Validation failed: org_id: organization 9 not found", "org_id", ErrorClass.REFERENCE),
        ("Organization not found", "org_id", ErrorClass.REFERENCE),
        ("Something else", "", ErrorClass.VALIDATION),
    ],
)
def test_words_name_the_field_and_what_follows(words: str, field: str, expected: ErrorClass) -> None:
    """A value is the record's fault, a field that is not there ours, a lost reference may come."""
    plain = error_of(_answer(400, {"error": words, "code": "ERR_SCHEMA_VALIDATION_FAILED"}), writes=True)
    write = Write("e-1", "", {"owner_id": "x", "Score": 1}, (Reference("org_id", ("9",)),))
    error = error_of_record(plain, write, {"owner_id": "owner_id", "Score": "abc"}, "")
    assert (error.field, error.error_class) == (field, expected)
    assert error.code == "ERR_SCHEMA_VALIDATION_FAILED"


def test_limits_are_read_in_calls_and_in_tokens() -> None:
    """The window counts calls, the day tokens; what is missing or no number is not told."""
    facts = read_limits({**SPENT, "x-ratelimit-limit": "80", "x-ratelimit-remaining": "79"})
    assert (facts.window_limit, facts.window_remaining, facts.window_s) == (80, 79, 2.0)
    assert (facts.daily_used, facts.daily_limit) == (30_000, 30_000)
    bare = read_limits({"x-daily-ratelimit-token-limit": "soon"})
    assert (bare.daily_used, bare.daily_limit, bare.window_s) == (None, None, None)


@pytest.mark.parametrize(
    ("api_domain", "trusted"),
    [
        ("https://acme.pipedrive.com", True),
        ("https://pipedrive.com.evil.example", False),
        ("http://acme.pipedrive.com", False),
        ("https://u@acme.pipedrive.com", False),
    ],
)
def test_a_token_goes_to_pipedrive_only(api_domain: str, *, trusted: bool) -> None:
    """Whatever address the token endpoint's answer names."""
    assert trusted_domain(api_domain, "https://oauth.pipedrive.com") is trusted


def _deliver(body: bytes, *authorization: str) -> Any:
    headers = [("authorization", text) for text in authorization]
    return BasicAuth(SchemeSettings()).verify(
        Delivery("POST", "/", headers, body), ["old:one", "hw:s3cret"], 0
    )


def _basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_webhooks_are_let_in_by_user_and_password() -> None:
    """Any of the secrets; a retry of the same message has the same id, whatever its attempt."""
    first, again = (json.dumps({"meta": {"id": "m-1", "attempt": n}, "data": {}}).encode() for n in (1, 2))
    assert _deliver(first, _basic("hw:s3cret")) == Verified("m-1")
    assert _deliver(again, _basic("old:one")) == Verified("m-1")
    bare = _deliver(b"not json", _basic("hw:s3cret"))
    assert isinstance(bare, Verified)
    assert bare.message_id.startswith("sha256:")


def test_webhooks_are_refused_by_rule() -> None:
    """Wrong password, another scheme, none, two."""
    assert _deliver(b"{}", _basic("hw:wrong")) == Rejected("credentials_mismatch")
    assert _deliver(b"{}", "Bearer x") == Rejected("scheme_not_basic")
    assert _deliver(b"{}") == Rejected("header_missing")
    assert _deliver(b"{}", _basic("hw:s3cret"), _basic("hw:s3cret")) == Rejected("header_repeated")
    with pytest.raises(InvalidInput, match="user:password"):
        BasicAuth(SchemeSettings()).verify(Delivery("POST", "/", [], b""), ["nocolon"], 0)
