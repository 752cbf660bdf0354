"""Pipedrive's refusals in our classes. Pure.

A refusal is `{"success": false, "error": words, "error_info": more, "code": sometimes}`; the status decides, the words
name the field. Source: Pipedrive API reference, HTTP status codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from headwater.connectors.base.errors import ErrorClass, VendorError
from headwater.connectors.base.http import Answer, failure_of_status, readable
from headwater.connectors.base.port import Write
from headwater.connectors.pipedrive.limits import day_is_spent, pause_s

BY_STATUS: Final[Mapping[int, ErrorClass]] = {
    400: ErrorClass.VALIDATION,
    401: ErrorClass.AUTH,
    402: ErrorClass.PERMISSION,  # the company's trial or plan has ended
    403: ErrorClass.PERMISSION,
    404: ErrorClass.NOT_FOUND,
    405: ErrorClass.FORMAT,
    410: ErrorClass.NOT_FOUND,
    413: ErrorClass.VALIDATION,
    415: ErrorClass.FORMAT,
    422: ErrorClass.VALIDATION,
    429: ErrorClass.RATE_LIMIT,
    501: ErrorClass.FORMAT,
}

_BLOCKED: Final = 403
_TOO_MANY: Final = 429
_UNKNOWN_FIELD: Final = re.compile(
    r"not allowed|unknown|unrecogni[sz]ed|does not exist|unsupported", re.IGNORECASE
)
_LOST: Final = re.compile(r"not found|does not exist", re.IGNORECASE)
_NAMES: Final[Mapping[str, str]] = {"org_id": "organization", "person_id": "person"}
"""How words name what a reference leads to."""


def error_of(answer: Answer, *, writes: bool) -> VendorError:
    """Return the refusal of a call."""
    plain = failure_of_status(answer, writes=writes)
    body = answer.json()
    if answer.status >= 500:  # noqa: PLR2004 - the status says more than its body
        return plain
    if answer.status == _TOO_MANY or (answer.status == _BLOCKED and not isinstance(body, dict)):
        return _too_many(answer, plain)
    told: Mapping[str, Any] = body if isinstance(body, dict) else {}
    words = " ".join(str(told[name]) for name in ("error", "message") if told.get(name))
    return VendorError(
        error_class=BY_STATUS.get(answer.status, plain.error_class),
        code=str(told.get("code") or told.get("errorCode") or plain.code),
        message=readable(words) or plain.message,
        http_status=answer.status,
        retry_after_s=plain.retry_after_s,
    )


def error_of_record(error: VendorError, write: Write, codes: Mapping[str, str], crm_id: str) -> VendorError:
    """Return the refusal of one record's write: which field it is about, and what follows from that.

    Args:
        codes: Pipedrive's code of every field that was sent, by our name.
        crm_id: the record that was written to, "" for a new one.
    """
    if error.error_class is ErrorClass.NOT_FOUND and not crm_id:
        error = replace(error, error_class=ErrorClass.VALIDATION)
    if error.error_class is not ErrorClass.VALIDATION:
        return error
    for reference in write.references:
        lost = _NAMES.get(reference.name, reference.name) in error.message.lower() and _LOST.search(
            error.message
        )
        if lost or _mentions(error.message, (reference.name,)):
            return replace(error, error_class=ErrorClass.REFERENCE, field=reference.name)
    for name, code in codes.items():
        if _mentions(error.message, (code, name)):
            unknown = _UNKNOWN_FIELD.search(error.message) is not None
            return replace(
                error, field=name, error_class=ErrorClass.FORMAT if unknown else ErrorClass.VALIDATION
            )
    return error


def no_field(crm_object: str, name: str) -> VendorError:
    """Return the refusal of a field that Pipedrive does not have: told here, as it could not be addressed."""
    message = f"{crm_object} has no field that is called {name!r}, by name or by key"
    return VendorError(ErrorClass.FORMAT, "FIELD_UNKNOWN", message, field=name)


def _too_many(answer: Answer, plain: VendorError) -> VendorError:
    spent = day_is_spent(answer.headers)
    return replace(
        plain,
        error_class=ErrorClass.QUOTA if spent else ErrorClass.RATE_LIMIT,
        code="DAILY_BUDGET_SPENT" if spent else plain.code,
        retry_after_s=None if spent else pause_s(answer.headers),
    )


def _mentions(message: str, names: Iterable[str]) -> bool:
    return any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", message) for name in names if name)
