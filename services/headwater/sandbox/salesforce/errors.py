"""Owns the shapes in which Salesforce says no. Decides nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from headwater.sandbox.call import Answer, Refusal


@dataclass(frozen=True, slots=True)
class RowError:
    """Why one row cannot be done."""

    code: str
    message: str
    fields: tuple[str, ...] = ()
    status: int = 400
    more: dict[str, Any] = field(default_factory=dict)


def problem(error: RowError) -> Answer:
    """An error answer of a whole request: a list of one."""
    told: dict[str, Any] = {"message": error.message, "errorCode": error.code}
    if error.fields:
        told["fields"] = list(error.fields)
    return Answer(error.status, [{**told, **error.more}])


def refusal(error: RowError) -> Refusal:
    """The whole request is refused for this reason."""
    return Refusal(problem(error), f"{error.code}: {error.message}")


def in_list(error: RowError) -> dict[str, Any]:
    """The error as an item of a collection tells it."""
    return {"statusCode": error.code, "message": error.message, "fields": list(error.fields), **error.more}


def nothing_there() -> Answer:
    """The path names nothing."""
    return Answer(404, [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}])


def malformed(message: str) -> Refusal:
    """The body cannot be read."""
    return refusal(RowError("JSON_PARSER_ERROR", message))
