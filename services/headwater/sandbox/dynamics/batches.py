"""Owns $batch: a multipart body taken apart, every operation answered by itself, in order."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from headwater.sandbox.call import Answer, Call, Refusal, match, route
from headwater.sandbox.dynamics import errors, records, tables
from headwater.sandbox.dynamics.requests import API

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.desk import Desk

OPERATIONS_MAX: Final = 1_000
_BOUNDARY: Final = re.compile(r'boundary="?([^";]+)"?')
_STARTED: Final = re.compile(r"(GET|POST|PATCH|DELETE) (\S+) HTTP/1\.1")
_REASONS: Final = {200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 404: "Not Found"}
_FAILED: Final = 400
INNER: Final = (*tables.ROUTES, *records.ROUTES)


def _batch(call: Call, desk: Desk, _params: Mapping[str, str]) -> Answer:
    found = _BOUNDARY.search(call.headers.get("content-type", ""))
    if found is None:
        raise errors.refusal(400, errors.BAD_REQUEST, "a batch needs a boundary")
    calls = [_inner(call, text) for text in _parts(call.body, found.group(1).encode())]
    if len(calls) > OPERATIONS_MAX:
        raise errors.refusal(400, errors.BAD_REQUEST, f"a batch has at most {OPERATIONS_MAX} operations")
    doomed = call.doomed(len(calls))
    goes_on = "odata.continue-on-error" in call.headers.get("prefer", "")
    answers: list[Answer] = []
    for number, inner in enumerate(calls):
        answers.append(_broken() if number in doomed else _answered(inner, desk))
        if answers[-1].status >= _FAILED and not goes_on:
            break
    boundary = f"batchresponse_{desk.new_id()}"
    body = "".join(_shown(boundary, one) for one in answers) + f"--{boundary}--\r\n"
    return Answer(200, body, content_type=f"multipart/mixed; boundary={boundary}")


def _parts(body: bytes, boundary: bytes) -> list[str]:
    pieces = body.split(b"--" + boundary)[1:-1]
    return [piece.partition(b"\r\n\r\n")[2].decode("utf-8") for piece in pieces]


def _inner(call: Call, text: str) -> Call:
    started = _STARTED.match(text)
    if started is None:
        raise errors.refusal(400, errors.BAD_REQUEST, "an operation begins with its method and URL")
    head, _, body = text.partition("\r\n\r\n")
    named = (line.partition(":") for line in head.split("\r\n")[1:])
    headers = {name.strip().lower(): value.strip() for name, _, value in named}
    url = urlsplit(started.group(2))
    path = url.path[url.path.find("/api/data/") :]
    return replace(
        call,
        method=started.group(1),
        path=unquote(path),
        query=tuple(parse_qsl(url.query)),
        headers={**headers, "traceparent": call.headers.get("traceparent", "")},
        body=body.strip().encode(),
    )


def _answered(inner: Call, desk: Desk) -> Answer:
    found = match(INNER, inner.method, inner.path)
    if found is None:
        return errors.problem(404, errors.NO_RESOURCE, f"Resource not found for the segment '{inner.path}'.")
    way, params = found
    at_it = replace(desk, call=inner, operation=way.operation)
    try:
        with desk.account.database.transaction():
            return way.handler(inner, at_it, params)
    except Refusal as refused:
        at_it.refuse(params.get("set", ""), refused.reason)
        return refused.answer


def _broken() -> Answer:
    return errors.problem(500, errors.UNEXPECTED, "An unexpected error occurred.")


def _shown(boundary: str, answer: Answer) -> str:
    lines = [f"--{boundary}", "Content-Type: application/http", "Content-Transfer-Encoding: binary", ""]
    lines.append(f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Error')}")
    lines.extend(f"{name}: {value}" for name, value in answer.headers.items())
    if answer.content is not None:
        lines.append("Content-Type: application/json; odata.metadata=minimal")
    return "\r\n".join([*lines, "OData-Version: 4.0", "", answer.body.decode(), ""])


ROUTES = (route("POST", rf"{API}/\$batch", "batch", _batch),)
