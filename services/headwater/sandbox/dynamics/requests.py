"""Owns the reading of Dataverse requests: bodies, keys in parentheses, filters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from headwater.sandbox.dynamics.errors import BAD_PAYLOAD, BAD_REQUEST, refusal

if TYPE_CHECKING:
    from headwater.sandbox.desk import Desk

API: Final = r"/api/data/v9\.2"
_TEXT: Final = r"'((?:[^']|'')*)'"
_KEY: Final = re.compile(rf"(\w+)={_TEXT}")
_TERM: Final = re.compile(rf"(\w+) eq (?:{_TEXT}|([0-9A-Fa-f-]{{36}}|\d+|[\w-]+))(?: or |$)", re.DOTALL)


def body_of(desk: Desk) -> dict[str, Any]:
    """The body as a JSON object."""
    try:
        body = desk.call.json()
    except msgspec.DecodeError as error:
        raise refusal(400, BAD_PAYLOAD, f"the payload is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise refusal(400, BAD_PAYLOAD, "the payload must be an object")
    return body


def alternate_key(text: str) -> tuple[str, str] | None:
    """(column, value) of a key in parentheses; None where it is an id."""
    found = _KEY.fullmatch(text)
    return None if found is None else (found.group(1), found.group(2).replace("''", "'"))


def wanted_by(text: str) -> tuple[str, list[str]]:
    """(column, values) of a filter of equalities with one column, joined by `or`."""
    place, names, values = 0, set[str](), list[str]()
    while place < len(text):
        found = _TERM.match(text, place)
        if found is None:
            raise refusal(400, BAD_REQUEST, f"this sandbox cannot read the filter at {text[place:][:40]!r}")
        names.add(found.group(1))
        quoted = found.group(2)
        values.append(str(found.group(3)) if quoted is None else quoted.replace("''", "'"))
        place = found.end()
    if len(names) != 1:
        raise refusal(400, BAD_REQUEST, "this sandbox filters by one column only")
    return names.pop(), values
