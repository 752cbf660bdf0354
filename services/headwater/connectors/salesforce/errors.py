"""Salesforce's refusals in our classes. Pure.

The same codes come in two shapes: `errorCode` for a whole call, `statusCode` with `fields` for one record of a
collection. Source: Object Reference, StatusCode; REST API Developer Guide, status codes and error responses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from headwater.connectors.base.errors import ErrorClass, VendorError
from headwater.connectors.base.http import Answer, failure_of_status, readable, retry_after_s
from headwater.connectors.base.port import Write

BY_CODE: Final[Mapping[str, ErrorClass]] = {
    # the account
    "INVALID_SESSION_ID": ErrorClass.AUTH,
    "INVALID_AUTH_HEADER": ErrorClass.AUTH,
    "INVALID_LOGIN": ErrorClass.AUTH,
    "API_DISABLED_FOR_ORG": ErrorClass.PERMISSION,
    "API_CURRENTLY_DISABLED": ErrorClass.PERMISSION,
    "FUNCTIONALITY_NOT_ENABLED": ErrorClass.PERMISSION,
    "INSUFFICIENT_ACCESS": ErrorClass.PERMISSION,
    "INSUFFICIENT_ACCESS_OR_READONLY": ErrorClass.PERMISSION,
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": ErrorClass.PERMISSION,
    "TRANSFER_REQUIRES_READ": ErrorClass.PERMISSION,
    "REQUEST_LIMIT_EXCEEDED": ErrorClass.QUOTA,
    "STORAGE_LIMIT_EXCEEDED": ErrorClass.QUOTA,
    "EXCEEDEDQUOTA": ErrorClass.QUOTA,
    "SERVER_UNAVAILABLE": ErrorClass.SERVER,
    "UNKNOWN_EXCEPTION": ErrorClass.SERVER,
    "QUERY_TIMEOUT": ErrorClass.SERVER,
    "UNABLE_TO_LOCK_ROW": ErrorClass.SERVER,
    "CONCURRENT_REQUEST_LIMIT_EXCEEDED": ErrorClass.RATE_LIMIT,
    # the mapping
    "INVALID_FIELD": ErrorClass.FORMAT,
    "INVALID_FIELD_FOR_INSERT_UPDATE": ErrorClass.FORMAT,
    "INVALID_TYPE": ErrorClass.FORMAT,
    "INVALID_TYPE_ON_FIELD_IN_RECORD": ErrorClass.FORMAT,
    "JSON_PARSER_ERROR": ErrorClass.FORMAT,
    "MALFORMED_QUERY": ErrorClass.FORMAT,
    "NOT_FOUND": ErrorClass.FORMAT,
    "CLIENTINPUTERROR": ErrorClass.FORMAT,
    "INVALIDENTITY": ErrorClass.FORMAT,
    "INVALIDJOBSTATE": ErrorClass.FORMAT,
    "METHOD_NOT_ALLOWED": ErrorClass.FORMAT,
    "UNSUPPORTED_API_VERSION": ErrorClass.FORMAT,
    # the record
    "REQUIRED_FIELD_MISSING": ErrorClass.VALIDATION,
    "STRING_TOO_LONG": ErrorClass.VALIDATION,
    "INVALID_EMAIL_ADDRESS": ErrorClass.VALIDATION,
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": ErrorClass.VALIDATION,
    "FIELD_INTEGRITY_EXCEPTION": ErrorClass.VALIDATION,
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": ErrorClass.VALIDATION,
    "NUMBER_OUTSIDE_VALID_RANGE": ErrorClass.VALIDATION,
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": ErrorClass.VALIDATION,
    "DUPLICATES_DETECTED": ErrorClass.CONFLICT,
    "DUPLICATE_VALUE": ErrorClass.CONFLICT,
    "DUPLICATE_EXTERNAL_ID": ErrorClass.CONFLICT,
    "CANNOT_UPDATE_CONVERTED_LEAD": ErrorClass.CONFLICT,  # the contact that it became stands in its place
    "ENTITY_IS_DELETED": ErrorClass.NOT_FOUND,
    "INVALID_CROSS_REFERENCE_KEY": ErrorClass.NOT_FOUND,
    "MALFORMED_ID": ErrorClass.NOT_FOUND,
}
"""Vendor code to class. The last three are about the record where it is updated by id, else about a reference."""

_GONE: Final = "NOT_FOUND"
_BAD_VALUE: Final = "JSON_PARSER_ERROR"
_ABOUT_AN_ID: Final = frozenset({"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "MALFORMED_ID"})
_ABOUT_ONE_FIELD: Final = frozenset({"INVALID_FIELD", "INVALID_FIELD_FOR_INSERT_UPDATE"})
_EXISTING: Final = re.compile(r"record with id: ([a-zA-Z0-9]{15,18})\b")
_NO_COLUMN: Final = re.compile(r"No such column '([^']+)'")
_CONCURRENT: Final = re.compile(r"concurrent", re.IGNORECASE)


def error_of(answer: Answer, *, writes: bool) -> VendorError:
    """Return the refusal of a whole call."""
    plain = failure_of_status(answer, writes=writes)
    entry = next(_entries(answer.json()), None)
    if entry is None or plain.error_class is ErrorClass.IN_DOUBT:
        return plain
    code = str(entry.get("errorCode") or entry.get("error") or plain.code)
    words = str(entry.get("message") or entry.get("error_description") or plain.message)
    return VendorError(
        error_class=_whole_class(code, words, plain),
        code=code,
        message=readable(words),
        http_status=answer.status,
        retry_after_s=retry_after_s(answer.headers),
        field=_column(words) if code in _ABOUT_ONE_FIELD else "",
    )


def error_of_record(entry: Mapping[str, Any], write: Write) -> VendorError:
    """Return the refusal of one record of a collection."""
    code = str(entry.get("statusCode") or entry.get("errorCode") or "UNKNOWN")
    words = str(entry.get("message") or "")
    fields = [str(name) for name in entry.get("fields") or ()]
    return VendorError(
        error_class=_record_class(code, fields, write),
        code=code,
        message=readable(words),
        http_status=200,
        existing_crm_id=_existing(entry, words),
        field=fields[0] if fields else _column(words),
    )


def concerns_records(error: VendorError) -> bool:
    """Tell whether a refused call may succeed without some of its records."""
    return error.code in _ABOUT_ONE_FIELD or error.code == _BAD_VALUE


def _whole_class(code: str, words: str, plain: VendorError) -> ErrorClass:
    if code == "REQUEST_LIMIT_EXCEEDED" and _CONCURRENT.search(words):
        return ErrorClass.RATE_LIMIT
    if plain.error_class is ErrorClass.RATE_LIMIT:
        return plain.error_class
    return BY_CODE.get(code, plain.error_class)


def _record_class(code: str, fields: list[str], write: Write) -> ErrorClass:
    references = {reference.name for reference in write.references}
    if references.intersection(fields):
        return ErrorClass.REFERENCE
    if code == _BAD_VALUE:  # in one record it is the value, for a whole call the mapping
        return ErrorClass.VALIDATION
    if code == _GONE and write.crm_id:  # for a whole call it is the path that leads nowhere
        return ErrorClass.NOT_FOUND
    if code in _ABOUT_AN_ID and not write.crm_id:
        return ErrorClass.REFERENCE if references else ErrorClass.VALIDATION
    return BY_CODE.get(code, ErrorClass.VALIDATION)


def _existing(entry: Mapping[str, Any], words: str) -> str:
    """Return the one record that holds the value; several candidates are nobody's business to choose from."""
    ids = set(_matches(entry))
    stated = _EXISTING.search(words)
    if stated:
        ids.add(stated.group(1))
    return ids.pop() if len(ids) == 1 else ""


def _matches(entry: Mapping[str, Any]) -> Iterator[str]:
    # The REST API has been seen to spell the member without its first `l`.
    result = entry.get("duplicateResult") or entry.get("duplicateResut")
    for match in _dicts(result.get("matchResults") if isinstance(result, dict) else None):
        for record in _dicts(match.get("matchRecords")):
            inner = record.get("record")
            if isinstance(inner, dict) and inner.get("Id"):
                yield str(inner["Id"])


def _column(words: str) -> str:
    found = _NO_COLUMN.search(words)
    return found.group(1) if found else ""


def _entries(body: Any) -> Iterator[Mapping[str, Any]]:
    yield from _dicts(body if isinstance(body, list) else [body])


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
