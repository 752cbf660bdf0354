"""HubSpot's refusals in our classes. Pure.

A refusal has a `category` for the call or record and, for property values, an inner code; the inner code decides
where there is one. The table is data; what to do per class is decided elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from headwater.connectors.base.errors import ErrorClass, VendorError
from headwater.connectors.base.http import Answer, failure_of_status, readable, retry_after_s

BY_CODE: Final[Mapping[str, ErrorClass]] = {
    # categories
    "VALIDATION_ERROR": ErrorClass.VALIDATION,
    "CONFLICT": ErrorClass.CONFLICT,
    "OBJECT_ALREADY_EXISTS": ErrorClass.CONFLICT,
    "OBJECT_NOT_FOUND": ErrorClass.NOT_FOUND,
    "NOT_FOUND": ErrorClass.NOT_FOUND,
    "RATE_LIMITS": ErrorClass.RATE_LIMIT,
    "RATE_LIMIT": ErrorClass.RATE_LIMIT,
    "EXPIRED_AUTHENTICATION": ErrorClass.AUTH,
    "INVALID_AUTHENTICATION": ErrorClass.AUTH,
    "MISSING_SCOPES": ErrorClass.PERMISSION,
    "BANNED": ErrorClass.PERMISSION,
    "INTERNAL_ERROR": ErrorClass.SERVER,
    "MIGRATION_IN_PROGRESS": ErrorClass.SERVER,
    # inner codes of property values
    "PROPERTY_DOESNT_EXIST": ErrorClass.FORMAT,
    "READ_ONLY_VALUE": ErrorClass.FORMAT,
    "CALCULATED_VALUE": ErrorClass.FORMAT,
    "INVALID_EMAIL": ErrorClass.VALIDATION,
    "INVALID_OPTION": ErrorClass.VALIDATION,
    "INVALID_DATE": ErrorClass.VALIDATION,
    "INVALID_INTEGER": ErrorClass.VALIDATION,
    "INVALID_LONG": ErrorClass.VALIDATION,
    "INVALID_NUMBER": ErrorClass.VALIDATION,
    "INVALID_BOOLEAN": ErrorClass.VALIDATION,
    "VALUE_TOO_LONG": ErrorClass.VALIDATION,
    "REQUIRED_FIELD": ErrorClass.VALIDATION,
    "MISSING_REQUIRED_PROPERTY": ErrorClass.VALIDATION,
    "CONFLICTING_UNIQUE_VALUE": ErrorClass.CONFLICT,
    "DUPLICATE_UNIQUE_PROPERTY_VALUE": ErrorClass.CONFLICT,
}
"""Vendor code to class; a code that is not here leaves the class to the category, then to the HTTP status."""

BY_STATUS: Final[Mapping[int, ErrorClass]] = {
    400: ErrorClass.VALIDATION,
    423: ErrorClass.SERVER,  # locked: safe to send again after two seconds
    477: ErrorClass.SERVER,  # the account is being moved between data centres; Retry-After says how long
}

_EXISTING: Final = re.compile(r"Existing ID: (\d+)|(\d+) already has that value")
_MISSING_PROPERTY: Final = re.compile(r'Property "?([A-Za-z0-9_]+)"? does not exist')
_REQUEST_WIDE: Final = re.compile(
    r"by non-unique|not a unique identifier|Invalid input JSON|Unable to infer object type|number of inputs"
    r"|No default association type|Duplicate IDs"
)
"""Words of a 400 that no record of the batch is to blame for."""
_DAILY: Final = "DAILY"


def error_of(answer: Answer, *, writes: bool) -> VendorError:
    """Return the refusal of a whole call."""
    plain = failure_of_status(answer, writes=writes)
    body = answer.json()
    if not isinstance(body, dict) or answer.status >= 500:  # noqa: PLR2004 - the status says more than its body
        return plain
    return error_of_entry(body, answer.status, plain, retry_after_s(answer.headers))


def error_of_entry(
    entry: Mapping[str, Any], status: int, plain: VendorError | None = None, after_s: float | None = None
) -> VendorError:
    """Return one refusal of a JSON body: a whole one or an item of `errors` in a 207.

    Args:
        plain: what to assume where no code is known.
    """
    code, name, words = _decisive(entry)
    category = str(entry.get("category") or "")
    message = readable(words)
    existing = _EXISTING.search(str(entry.get("message") or "")) or _EXISTING.search(message)
    return VendorError(
        error_class=_class_of(code, category, entry, status, plain),
        code=code or category or (plain.code if plain else "UNKNOWN"),
        message=message or (plain.message if plain else ""),
        http_status=status,
        retry_after_s=after_s,
        existing_crm_id=next((group for group in existing.groups() if group), "") if existing else "",
        field=name,
    )


def concerns_records(error: VendorError) -> bool:
    """Tell whether a refused call may succeed without some of its records."""
    return (
        error.error_class in {ErrorClass.VALIDATION, ErrorClass.CONFLICT, ErrorClass.NOT_FOUND}
        or error.code == "PROPERTY_DOESNT_EXIST"
    )


def _class_of(
    code: str, category: str, entry: Mapping[str, Any], status: int, plain: VendorError | None
) -> ErrorClass:
    message = str(entry.get("message") or "")
    if _REQUEST_WIDE.search(message):
        return ErrorClass.FORMAT
    known = BY_CODE.get(code) or BY_CODE.get(category)
    if known is ErrorClass.RATE_LIMIT or (known is None and status == 429):  # noqa: PLR2004 - Too Many Requests
        daily = _DAILY in str(entry.get("policyName") or "").upper()
        return ErrorClass.QUOTA if daily else ErrorClass.RATE_LIMIT
    if known is ErrorClass.VALIDATION and _EXISTING.search(message):
        return ErrorClass.CONFLICT
    return known or BY_STATUS.get(status) or (plain.error_class if plain else ErrorClass.VALIDATION)


def _decisive(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return code, property and words of the inner error that decides: FORMAT before everything else."""
    inner = sorted(_inner(entry), key=lambda item: BY_CODE.get(item[0]) is not ErrorClass.FORMAT)
    message = str(entry.get("message") or "")
    if not inner:
        missing = _MISSING_PROPERTY.search(message)
        return ("PROPERTY_DOESNT_EXIST", missing.group(1), message) if missing else ("", "", message)
    code, name, words = inner[0]
    return code, name, words or message


def _inner(entry: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield (code, property, words) from `errors`, and from the JSON list that HubSpot puts inside a message."""
    for item in [*_dicts(entry.get("errors")), *_dicts(_listed(str(entry.get("message") or "")))]:
        code = str(item.get("code") or item.get("error") or "")
        context = item.get("context")
        names = context.get("propertyName") if isinstance(context, dict) else None
        name = item.get("name") or (names[0] if isinstance(names, list) and names else item.get("in"))
        if code:
            yield code, str(name or ""), str(item.get("message") or "")


def _listed(message: str) -> Any:
    start = message.find("[{")
    if start < 0:
        return None
    try:
        return msgspec.json.decode(message[start : message.rfind("]") + 1])
    except msgspec.DecodeError:
        return None


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
