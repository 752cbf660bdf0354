"""Owns Salesforce's rules for single field values: types, lengths, picklists, emails, references."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from headwater.sandbox.salesforce.errors import RowError
from headwater.sandbox.salesforce.ids import full

if TYPE_CHECKING:
    from headwater.sandbox.salesforce.describe import Field

_EMAIL = re.compile(r"^[^@\s,;<>]+@[^@\s,;<>.]+(\.[^@\s,;<>.]+)+$")
_NUMBERS = {"int", "double", "currency", "percent"}
_TEXTS = {"string", "textarea", "phone", "url", "email", "combobox", "picklist"}


@lru_cache(maxsize=4096)
def stamp(time_ms: int) -> str:
    """Milliseconds since the epoch in Salesforce's form, `2024-10-20T19:50:47.000+0000`."""
    return f"{datetime.fromtimestamp(time_ms // 1000, tz=UTC):%Y-%m-%dT%H:%M:%S}.000+0000"


def value_of(field: Field, value: Any) -> Any:
    """The value as it is stored, or a RowError; None clears."""
    if value is None or value == "":
        return None
    if field.type in _NUMBERS:
        return _number(field, value)
    if field.type == "boolean":
        return value if isinstance(value, bool) else _wrong_type(field, value, "boolean")
    if field.type in {"date", "datetime"}:
        return _moment(field, value)
    if field.type in {"reference", "id"}:
        return _id(field, value)
    return _text(field, value) if field.type in _TEXTS else _wrong_type(field, value, field.type)


def _id(field: Field, value: Any) -> str | RowError:
    found = full(str(value))
    message = f"{field.label}: id value of incorrect type: {value}"
    return found if found is not None else RowError("MALFORMED_ID", message, (field.name,))


def _text(field: Field, value: Any) -> str | RowError:
    if isinstance(value, bool | int | float):
        text = str(value).lower() if isinstance(value, bool) else str(value)
    elif isinstance(value, str):
        text = value
    else:
        return _wrong_type(field, value, "string")
    if field.length and len(text) > field.length:
        message = f"{field.label}: data value too large: {text} (max length={field.length})"
        return RowError("STRING_TOO_LONG", message, (field.name,))
    if field.type == "email" and not _EMAIL.match(text):
        return RowError(
            "INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {text}", (field.name,)
        )
    if field.restricted and field.options and text not in field.options:
        message = f"{field.label}: bad value for restricted picklist field: {text}"
        return RowError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, (field.name,))
    return text


def _number(field: Field, value: Any) -> float | int | RowError:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return _wrong_type(field, value, field.type)
    return int(number) if field.type == "int" else number


def _moment(field: Field, value: Any) -> str | RowError:
    text = str(value)
    try:
        if field.type == "date":
            return date.fromisoformat(text[:10]).isoformat()
        moment = datetime.fromisoformat(text)
    except ValueError:
        return _wrong_type(field, value, field.type)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return stamp(round(aware.timestamp() * 1000))


def _wrong_type(field: Field, value: Any, wanted: str) -> RowError:
    message = f"Cannot deserialize instance of {wanted} from VALUE_STRING value {value} or request may be missing a required field"
    return RowError("JSON_PARSER_ERROR", message, (field.name,))
