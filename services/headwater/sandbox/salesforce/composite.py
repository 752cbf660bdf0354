"""Owns Salesforce's composite request: up to 25 calls in one, later ones using what earlier ones answered."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from headwater.sandbox.call import Answer, Call, Refusal, Route, route
from headwater.sandbox.salesforce.errors import RowError, malformed, problem, refusal
from headwater.sandbox.salesforce.requests import body_of, version_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headwater.sandbox.desk import Desk

CALLS_MAX = 25
_REFERENCE = re.compile(r"@\{([\w-]+)((?:\.\w+|\[\d+\])*)\}")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_FAILED = 400
_HALTED = RowError(
    "PROCESSING_HALTED",
    "The transaction was rolled back since another operation in the same transaction failed.",
)


class _UndoneError(Exception):
    """One call failed where all had to succeed."""

    def __init__(self, answers: list[tuple[str, Answer]]) -> None:
        super().__init__()
        self.answers = answers


def routes(dispatch: Callable[[Call, Desk], Answer]) -> tuple[Route, ...]:
    """The composite route, its inner calls answered by `dispatch`."""

    def composite(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
        version_in(params)
        body = body_of(call)
        inner = body.get("compositeRequest")
        if not isinstance(inner, list) or not inner:
            raise malformed("compositeRequest is required")
        if len(inner) > CALLS_MAX:
            message = f"Composite subrequests limit exceeded: {len(inner)}, limit is {CALLS_MAX}"
            raise refusal(RowError("LIMIT_EXCEEDED", message))
        answers = _run(call, desk, inner, dispatch, whole=bool(body.get("allOrNone", False)))
        return Answer(200, {"compositeResponse": [_told(name, answer) for name, answer in answers]})

    return (route("POST", "/services/data/{version}/composite", "composite", composite),)


def _run(
    call: Call, desk: Desk, inner: list[Any], dispatch: Callable[[Call, Desk], Answer], *, whole: bool
) -> list[tuple[str, Answer]]:
    try:
        with desk.account.database.transaction():
            answers = _each(call, desk, inner, dispatch)
            if whole and any(answer.status >= _FAILED for _, answer in answers):
                raise _UndoneError(answers)  # noqa: TRY301 - leaving the block is what undoes the writes
    except _UndoneError as undone:
        halted = problem(_HALTED)
        return [(name, answer if answer.status >= _FAILED else halted) for name, answer in undone.answers]
    return answers


def _each(
    call: Call, desk: Desk, inner: list[Any], dispatch: Callable[[Call, Desk], Answer]
) -> list[tuple[str, Answer]]:
    known: dict[str, Answer] = {}
    for one in inner:
        name = str(one.get("referenceId"))
        if name in known:
            raise refusal(RowError("INVALID_INPUT", f"Duplicate reference id: {name}"))
        known[name] = _one(call, desk, one, known, dispatch)
    return list(known.items())


def _one(
    call: Call,
    desk: Desk,
    one: Mapping[str, Any],
    known: Mapping[str, Answer],
    dispatch: Callable[[Call, Desk], Answer],
) -> Answer:
    try:
        filled = _filled({"url": one.get("url"), "body": one.get("body")}, known)
        inner = _inner(call, one, filled)
        with desk.account.database.transaction():
            return dispatch(inner, replace(desk, call=inner))
    except Refusal as refused:
        return refused.answer


def _inner(call: Call, one: Mapping[str, Any], filled: Mapping[str, Any]) -> Call:
    parts = urlsplit(str(filled["url"]))
    headers = {str(name).lower(): str(value) for name, value in (one.get("httpHeaders") or {}).items()}
    return replace(
        call,
        method=str(one.get("method")).upper(),
        path=unquote(parts.path),
        query=tuple(parse_qsl(parts.query, keep_blank_values=True)),
        headers={**call.headers, **headers},
        body=b"" if filled["body"] is None else msgspec.json.encode(filled["body"]),
    )


def _filled(value: Any, known: Mapping[str, Answer]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(one, known) for name, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, known) for one in value]
    if isinstance(value, str):
        return _REFERENCE.sub(lambda found: str(_referred(found, known)), value)
    return value


def _referred(found: re.Match[str], known: Mapping[str, Answer]) -> Any:
    name, path = found[1], found[2]
    answer = known.get(name)
    value = None if answer is None or answer.status >= _FAILED else answer.content
    for key, index in _STEP.findall(path):
        try:
            value = value[key] if key else value[int(index)]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            value = None
    if value is None:
        message = f"Invalid reference specified. No value for {name}{path} found in {name}"
        raise refusal(RowError("PROCESSING_HALTED", message))
    return value


def _told(name: str, answer: Answer) -> dict[str, Any]:
    headers = {"Location": answer.headers["Location"]} if "Location" in answer.headers else {}
    return {
        "body": answer.content,
        "httpHeaders": headers,
        "httpStatusCode": answer.status,
        "referenceId": name,
    }
