"""Dataverse's batches, refusals and values as values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headwater.connectors.base import ErrorClass, Failed, Reference, Target, Write, Written
from headwater.connectors.base.http import Answer
from headwater.connectors.dynamics import wire
from headwater.connectors.dynamics.batching import Operation, batch_request, read_batch
from headwater.connectors.dynamics.errors import error_of, error_of_record
from headwater.connectors.dynamics.limits import read_limits
from headwater.connectors.dynamics.schema import Column, Table

CONTACT = Target("contact", "contact", "hw_id", ("lastname",))
COLUMNS = {
    "lastname": Column("lastname", "String"),
    "numberofchildren": Column("numberofchildren", "Integer"),
    "donotemail": Column("donotemail", "Boolean"),
    "birthdate": Column("birthdate", "DateTime"),
}
TABLE = Table("contact", "m", "contacts", "contactid", COLUMNS)
ID = "00000000-0000-4000-8000-000000000001"
WRITES = [Write(f"e-{number}", "", {"lastname": "A"}) for number in range(3)]


def _refused(status: int, code: str, words: str) -> Answer:
    return Answer(status, {}, json.dumps({"error": {"code": code, "message": words}}).encode())


def _done(number: int, status: int = 201) -> Answer:
    return Answer(status, {}, json.dumps({"contactid": f"id-{number}", "hw_id": f"e-{number}"}).encode())


def _batch_answer(*parts: str) -> Answer:
    boundary = "batchresponse_1"
    body = "".join(
        f"--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n{part}\r\n"
        for part in parts
    )
    headers = {"content-type": f"multipart/mixed; boundary={boundary}"}
    return Answer(200, headers, f"{body}--{boundary}--\r\n".encode())


def test_a_batch_is_taken_apart_part_by_part() -> None:
    """Status, headers and body of each; unicode, an empty body, and a part that is no answer."""
    answers = read_batch(
        _batch_answer(
            'HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nOData-Version: 4.0\r\n\r\n{"name":"Zoë 🦉"}',
            "HTTP/1.1 204 No Content\r\nOData-Version: 4.0\r\n\r\n",
            "nonsense",
        )
    )
    assert [answer.status for answer in answers] == [201, 204, 0]
    assert answers[0].json() == {"name": "Zoë 🦉"}
    assert answers[1].headers["odata-version"] == "4.0"
    assert read_batch(Answer(200, {"content-type": "application/json"}, b"{}")) == []


def test_the_boundary_is_made_of_the_operations() -> None:
    """Equal batches are equal bytes; another operation makes another boundary."""
    one, same, other = (
        batch_request("/api", [Operation("PATCH", path, {"a": "--x"})]) for path in ("/a", "/a", "/b")
    )
    contents = [request.content for request in (one, same, other)]
    assert all(content is not None for content in contents)
    bodies = [content.make("") for content in contents if content is not None]
    assert bodies[0] == bodies[1] != bodies[2]


def test_answers_are_matched_by_the_record_and_refusals_by_their_place() -> None:
    """Out of order, what was done is told by its own key; a refusal only where no part is missing."""
    parts = [_done(2), _refused(400, "0x80048d19", "bad"), _done(0, 200)]
    told = wire.read_outcomes(parts, TABLE, CONTACT, WRITES)
    assert told["e-0"] == Written("id-0", created=False)
    assert told["e-2"] == Written("id-2", created=True)
    assert isinstance(told["e-1"], Failed)
    short = wire.read_outcomes(parts[:2], TABLE, CONTACT, WRITES)
    assert set(short) == {"e-2"}


@pytest.mark.parametrize(
    ("answer", "expected", "field"),
    [
        (_refused(429, "0x80072322", "Number of requests exceeded"), ErrorClass.RATE_LIMIT, ""),
        (_refused(429, "0x80072321", "Combined execution time"), ErrorClass.RATE_LIMIT, ""),
        (_refused(429, "0x80072326", "Number of concurrent requests"), ErrorClass.RATE_LIMIT, ""),
        (_refused(403, "0x80040220", "lacks prvWriteContact"), ErrorClass.PERMISSION, ""),
        (_refused(401, "0x80072561", "expired"), ErrorClass.AUTH, ""),
        (_refused(412, "0x80060882", "version of the existing record"), ErrorClass.SERVER, ""),
        (_refused(412, "0x80040333", "duplicate"), ErrorClass.CONFLICT, ""),
        (
            _refused(400, "0x80048d19", "Invalid property 'nope' was found in entity 'x'"),
            ErrorClass.FORMAT,
            "nope",
        ),
        (
            _refused(400, "0x80044331", "The length of the 'lastname' attribute of the 'contact' entity"),
            ErrorClass.VALIDATION,
            "lastname",
        ),
        (_refused(400, "0x80044352", "The delta token is expired"), ErrorClass.FORMAT, ""),
        (_refused(500, "0x80040216", "An unexpected error occurred."), ErrorClass.SERVER, ""),
        (Answer(504, {}, b"<html><body>late</body></html>"), ErrorClass.IN_DOUBT, ""),
    ],
)
def test_refusals_are_told_apart_by_code(answer: Answer, expected: ErrorClass, field: str) -> None:
    """The code decides where it is known, else the status."""
    error = error_of(answer, writes=True)
    assert (error.error_class, error.field) == (expected, field)


def test_what_is_gone_is_the_record_or_what_it_refers_to() -> None:
    """The same code says both; the id in its words tells which."""
    answer = _refused(404, "0x80040217", f"Entity 'Account' With Id = {ID} Does Not Exist")
    bound = Write("e-1", "", {}, (Reference("parentcustomerid_account", (ID.upper(),)),))
    assert error_of_record(answer, bound).error_class is ErrorClass.REFERENCE
    assert error_of_record(answer, Write("e-1", ID, {})).error_class is ErrorClass.NOT_FOUND
    assert error_of_record(answer, Write("e-1", "", {})).error_class is ErrorClass.FORMAT


def test_a_value_that_does_not_fit_names_its_field_where_one_only_has_it() -> None:
    """Dataverse quotes the value; two fields of the same value are nobody's to choose from."""
    answer = _refused(
        400, "0x80048d19", "Cannot convert the literal 'many' to the expected type 'Edm.Int32'."
    )
    assert error_of_record(answer, Write("e", "", {"a": "x", "b": "many"})).field == "b"
    assert error_of_record(answer, Write("e", "", {"a": "many", "b": "many"})).field == ""


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("numberofchildren", "3", 3),
        ("numberofchildren", "many", "many"),
        ("lastname", 7, "7"),
        ("lastname", "", None),
        ("donotemail", "true", True),
        ("birthdate", "2026-01-31", "2026-01-31"),
        ("unknown", 5, 5),
    ],
)
def test_values_are_sent_as_their_column_takes_them(name: str, value: Any, sent: Any) -> None:
    """And what does not fit is left for Dataverse to refuse."""
    assert wire.rendered(COLUMNS.get(name), value) == sent


def test_limits_are_read() -> None:
    """What is left of the requests of five minutes."""
    facts = read_limits({"x-ms-ratelimit-burst-remaining-xrm-requests": "5999", "retry-after": "12"})
    assert (facts.window_remaining, facts.window_s, facts.retry_after_s) == (5999, 300.0, 12.0)
    assert read_limits({}).window_s is None
