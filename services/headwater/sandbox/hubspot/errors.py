"""Owns the shapes in which HubSpot says no. Decides nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headwater.sandbox.call import HTML_TYPE, Answer, Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headwater.sandbox.desk import Desk

_NOT_FOUND_PAGE = """<html>
<head>
<meta http-equiv="Content-Type" content="text/html;charset=utf-8"/>
<title>Error 404 Not Found</title>
</head>
<body><h2>HTTP ERROR 404</h2>
<p>Resource not found</p>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why one item of a request cannot be done."""

    status: int
    category: str
    message: str
    errors: tuple[dict[str, Any], ...] = ()


def problem(desk_or_id: Desk | str, error: ItemError, **extra: Any) -> Answer:
    """An error answer in HubSpot's JSON shape."""
    correlation = desk_or_id if isinstance(desk_or_id, str) else desk_or_id.new_id()
    content: dict[str, Any] = {"status": "error", "message": error.message, "correlationId": correlation}
    if error.errors:
        content["errors"] = list(error.errors)
    content["category"] = error.category
    return Answer(error.status, {**content, **extra})


def refusal(desk: Desk, error: ItemError) -> Refusal:
    """The whole request is refused for this reason."""
    return Refusal(problem(desk, error), f"{error.category}: {error.message}")


def invalid(desk: Desk, message: str) -> Refusal:
    """The request itself is malformed."""
    return refusal(desk, ItemError(400, "VALIDATION_ERROR", message))


def missing_page() -> Answer:
    """The HTML page that HubSpot sends for a record that is not there."""
    return Answer(404, _NOT_FOUND_PAGE, content_type=HTML_TYPE)


def not_there(reason: str) -> Refusal:
    """The record that the path names does not exist."""
    return Refusal(missing_page(), reason)


def property_faults(faults: Sequence[tuple[str, str, str]]) -> ItemError:
    """HubSpot's answer to bad property values.

    Args:
        faults: (property, error code, message) of each.
    """
    shown = [
        {"isValid": False, "message": message, "error": code, "name": name, "localizedErrorMessage": message}
        for name, code, message in faults
    ]
    details = tuple(
        {"message": message, "code": code, "context": {"propertyName": [name]}}
        for name, code, message in faults
    )
    text = f"Property values were not valid: {json.dumps(shown, separators=(',', ':'))}"
    return ItemError(400, "VALIDATION_ERROR", text, details)
