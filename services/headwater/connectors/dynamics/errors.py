"""Dataverse's refusals in our classes. Pure.

A refusal is `{"error": {"code": "0x80040217", "message": words}}`; the code decides where it is known, else the status.
Source: Dataverse, Web service error codes; Service protection API limits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from headwater.connectors.base.errors import ErrorClass, VendorError
from headwater.connectors.base.http import Answer, failure_of_status, readable, retry_after_s
from headwater.connectors.base.port import Write

BY_CODE: Final[Mapping[str, ErrorClass]] = {
    # the three service protection limits
    "0x80072321": ErrorClass.RATE_LIMIT,  # execution time
    "0x80072322": ErrorClass.RATE_LIMIT,  # number of requests
    "0x80072326": ErrorClass.RATE_LIMIT,  # concurrent requests
    # the account
    "0x80040220": ErrorClass.PERMISSION,  # PrivilegeDenied
    "0x80048306": ErrorClass.PERMISSION,
    "0x80072560": ErrorClass.PERMISSION,  # not a member of the organization
    # the server
    "0x80040216": ErrorClass.SERVER,  # UnExpected
    "0x80044150": ErrorClass.SERVER,  # generic SQL error
    "0x80044151": ErrorClass.SERVER,  # SQL timeout
    "0x80060882": ErrorClass.SERVER,  # the row version does not match: somebody wrote at the same time
    # the mapping
    "0x80060888": ErrorClass.FORMAT,  # bad request
    "0x8006088a": ErrorClass.FORMAT,  # no such resource
    "0x80060890": ErrorClass.FORMAT,  # no such alternate key
    "0x80044352": ErrorClass.FORMAT,  # the delta token has expired
    # the record
    "0x80040203": ErrorClass.VALIDATION,  # InvalidArgument
    "0x80044331": ErrorClass.VALIDATION,  # too long
    "0x80044330": ErrorClass.VALIDATION,  # out of range
    "0x80048d19": ErrorClass.VALIDATION,  # a value in the payload is not of its column's type
    "0x80040333": ErrorClass.CONFLICT,  # duplicate detection
    "0x80040237": ErrorClass.CONFLICT,  # the key is taken
    "0x80060892": ErrorClass.CONFLICT,  # another record has the alternate key's value
    "0x80040217": ErrorClass.NOT_FOUND,  # ObjectDoesNotExist
    "0x80060891": ErrorClass.NOT_FOUND,  # no record of this key
}
"""Vendor code, in lower case, to class."""

BY_STATUS: Final[Mapping[int, ErrorClass]] = {
    400: ErrorClass.VALIDATION,
    404: ErrorClass.NOT_FOUND,
    405: ErrorClass.FORMAT,
    412: ErrorClass.CONFLICT,
    413: ErrorClass.FORMAT,
}
DELTA_EXPIRED: Final = "0x80044352"

_UNDECLARED: Final = re.compile(
    r"[Uu]ndeclared property '([^']+)'|[Ii]nvalid property '([^']+)'|[Cc]ould not find a property named '([^']+)'"
    r"|property named '([^']+)' on type|property '([^']+)' does not exist"
)
_ATTRIBUTE: Final = re.compile(
    r"of the '([^']+)' attribute|attribute '([^']+)'|property '([^']+)'", re.IGNORECASE
)


def error_of(answer: Answer, *, writes: bool) -> VendorError:
    """Return the refusal of a call, or of one operation of a batch."""
    plain = failure_of_status(answer, writes=writes)
    body = answer.json()
    told = body.get("error") if isinstance(body, dict) else None
    if not isinstance(told, dict) or plain.error_class is ErrorClass.IN_DOUBT:
        return plain
    code, words = str(told.get("code") or plain.code), _words(told)
    undeclared = _UNDECLARED.search(words)
    known = ErrorClass.FORMAT if undeclared else BY_CODE.get(code.lower())
    usual = BY_STATUS.get(answer.status, plain.error_class)
    named = undeclared or _ATTRIBUTE.search(words)
    return VendorError(
        error_class=usual if plain.error_class is ErrorClass.RATE_LIMIT or known is None else known,
        code=code,
        message=readable(words) or plain.message,
        http_status=answer.status,
        retry_after_s=retry_after_s(answer.headers),
        field=next((group for group in named.groups() if group), "") if named else "",
    )


def error_of_record(answer: Answer, write: Write) -> VendorError:
    """Return the refusal of one record: what is gone is the record that was addressed, or one that it refers to."""
    error = error_of(answer, writes=True)
    if error.error_class is ErrorClass.VALIDATION and not error.field:
        quoted = [name for name, value in write.fields.items() if f"'{value}'" in error.message]
        return replace(error, field=quoted[0]) if len(quoted) == 1 else error
    if error.error_class is not ErrorClass.NOT_FOUND:
        return error
    lost = {crm_id.lower() for reference in write.references for crm_id in reference.crm_ids}
    if any(crm_id in error.message.lower() for crm_id in lost):
        return replace(error, error_class=ErrorClass.REFERENCE)
    return error if write.crm_id else replace(error, error_class=ErrorClass.FORMAT)


def _words(told: Mapping[str, Any]) -> str:
    inner = told.get("innererror")
    more = str(inner.get("message") or "") if isinstance(inner, dict) else ""
    words = str(told.get("message") or "")
    return words if more in words else f"{words}: {more}"
