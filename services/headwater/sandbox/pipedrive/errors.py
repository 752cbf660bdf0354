"""Owns the shapes in which Pipedrive says no. Decides nothing."""

from __future__ import annotations

from headwater.sandbox.call import Answer, Refusal

_MORE = "Please check developers.pipedrive.com for more information."


def problem(status: int, words: str, code: str = "") -> Answer:
    """An error answer in Pipedrive's shape."""
    content = {"success": False, "error": words, "error_info": _MORE, "data": None, "additional_data": None}
    return Answer(status, {**content, **({"code": code} if code else {"errorCode": status})})


def invalid(field: str, words: str) -> Refusal:
    """A value, or a parameter, is not as it must be."""
    text = f"Validation failed: {field}: {words}"
    return Refusal(problem(400, text, "ERR_SCHEMA_VALIDATION_FAILED"), text)


def not_there(word: str) -> Refusal:
    """The record that the path names does not exist, or is deleted."""
    text = f"{word.capitalize()} not found"
    return Refusal(problem(404, text), text)


def missing_route() -> Answer:
    """What is said where nothing is."""
    return problem(404, "Unknown method.")
