"""BottleCRM's refusals in our classes. Pure.

A refusal is `{"error": true, "errors": {field: [words]}}`, `{"errors": words}` or `{"detail": words}`; the status
decides, the words tell which of its rules it was. Source: BottleCRM 1.35.0, and answers recorded from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from headwater.connectors.base.errors import ErrorClass, VendorError
from headwater.connectors.base.http import Answer, failure_of_status, readable
from headwater.connectors.bottlecrm.kinds import Kind

BY_STATUS: Final[Mapping[int, ErrorClass]] = {
    400: ErrorClass.VALIDATION,
    401: ErrorClass.AUTH,
    403: ErrorClass.PERMISSION,
    404: ErrorClass.NOT_FOUND,
    405: ErrorClass.FORMAT,
    413: ErrorClass.VALIDATION,
    415: ErrorClass.FORMAT,
    429: ErrorClass.RATE_LIMIT,
}

_FORBIDDEN: Final = 403
_NO_TOKEN: Final = re.compile(
    r"Organization context is required|Invalid token|revoked or expired", re.IGNORECASE
)
"""BottleCRM's words for a token that it does not know, answered with 403."""
_TAKEN: Final = re.compile(r"already (exists|uses)", re.IGNORECASE)
_LOST: Final = re.compile(r"No such|does not exist|is not a valid UUID|must be a valid UUID", re.IGNORECASE)


def error_of(answer: Answer, *, writes: bool) -> VendorError:
    """Return the refusal of a call, with the first field that it names."""
    plain = failure_of_status(answer, writes=writes)
    body = answer.json()
    if answer.status >= 500 or not isinstance(body, dict):  # noqa: PLR2004 - the status says more than its body
        return replace(plain, error_class=BY_STATUS.get(answer.status, plain.error_class))
    told = list(_told(body))
    words = "; ".join(f"{name}: {text}" if name else text for name, text in told)
    error_class = BY_STATUS.get(answer.status, plain.error_class)
    if answer.status == _FORBIDDEN and _NO_TOKEN.search(words):
        error_class = ErrorClass.AUTH
    return replace(
        plain,
        error_class=error_class,
        message=readable(words) or plain.message,
        field=next((name for name, _text in told if name), ""),
    )


def error_of_record(answer: Answer, kind: Kind, crm_id: str) -> VendorError:
    """Return the refusal of one record's write: which rule it broke, and what follows from that.

    Args:
        crm_id: the record that was written to, "" for a new one.
    """
    error = error_of(answer, writes=True)
    if error.error_class is ErrorClass.NOT_FOUND and not crm_id:
        return replace(error, error_class=ErrorClass.FORMAT)  # the path is wrong, not a record gone
    if error.error_class is not ErrorClass.VALIDATION:
        return error
    body = answer.json()
    told = list(_told(body)) if isinstance(body, dict) else []
    for name, text in told:
        if name in kind.references and _LOST.search(text):
            return replace(error, error_class=ErrorClass.REFERENCE, field=name)
    if told and all(name == kind.unique and _TAKEN.search(text) for name, text in told):
        return replace(error, error_class=ErrorClass.CONFLICT, code="ALREADY_EXISTS")
    return error


def no_field(crm_object: str, name: str) -> VendorError:
    """Return the refusal of a field that BottleCRM does not have: told here, as it would pass it over."""
    message = f"{crm_object} has no field {name!r} that can be written, native or custom"
    return VendorError(ErrorClass.FORMAT, "FIELD_UNKNOWN", message, field=name)


def _told(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each refusal: the field, "" where none is named, and the words."""
    errors = body.get("errors", body.get("detail", body))
    if not isinstance(errors, dict):
        yield "", _words(errors)
        return
    for name, value in errors.items():
        if name == "custom_fields" and isinstance(value, dict):
            yield from ((str(key), _words(text)) for key, text in value.items())
        elif name != "error":
            yield str(name), _words(value)


def _words(value: Any) -> str:
    return " ".join(str(one) for one in value) if isinstance(value, list) else str(value)
