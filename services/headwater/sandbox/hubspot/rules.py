"""Owns HubSpot's rules for property values: which exist, what they may hold, which must be unique."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headwater.sandbox.hubspot.errors import ItemError, property_faults
from headwater.sandbox.hubspot.kinds import iso, standard_properties

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from headwater.sandbox.accounts import Account
    from headwater.sandbox.hubspot.kinds import Kind
    from headwater.sandbox.store.records import Fields

_Fault = tuple[str, str, str]

_EMAIL = re.compile(r"^[^@\s,;<>]+@[^@\s,;<>.]+(\.[^@\s,;<>.]+)*\.[^@\s,;<>.\d]{2,}$")
_DIGITS = re.compile(r"^-?\d+$")
_VALUE_LENGTH_MAX = 65_536
"""Characters of one property value (HubSpot's documented limit)."""


def definition(account: Account, kind: Kind, name: str) -> Mapping[str, Any] | None:
    """The definition of a property, shipped or custom."""
    return standard_properties(kind.name).get(name) or account.custom.get(kind.name, {}).get(name)


def unique_names(account: Account, kind: Kind) -> tuple[str, ...]:
    """Properties by which a record can be found and that no two records may share."""
    custom = (name for name, one in account.custom.get(kind.name, {}).items() if one["hasUniqueValue"])
    return (*kind.unique, *custom)


def unknown(account: Account, kind: Kind, names: Iterable[str]) -> ItemError | None:
    """The refusal for properties that do not exist, or None."""
    absent = dict.fromkeys(name for name in names if definition(account, kind, name) is None)
    if not absent:
        return None
    return property_faults(
        [(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist') for name in absent]
    )


def normalise(account: Account, kind: Kind, properties: Mapping[str, Any]) -> Fields | ItemError:
    """The values as they are stored ("" means cleared), or why they cannot be.

    Args:
        account: whose custom properties count.
        kind: the object type.
        properties: known names only, values as sent.
    """
    clean: Fields = {}
    faults: list[_Fault] = []
    for name, value in properties.items():
        known = definition(account, kind, name)
        if known is None:
            continue
        result = _value(known, value)
        if isinstance(result, tuple):
            faults.append(result)
        else:
            clean[name] = result
    return property_faults(faults) if faults else clean


def conflict(account: Account, kind: Kind, values: Fields, own_id: str | None) -> ItemError | None:
    """The refusal where a unique value already belongs to another record."""
    for name in unique_names(account, kind):
        value = values.get(name)
        if value in {None, ""}:
            continue
        others = [found for found in account.records.ids_with(kind.name, name, value) if found != own_id]
        if others:
            return _taken(kind, name, str(value), others[0], own_id)
    return None


def _taken(kind: Kind, name: str, value: str, other: str, own_id: str | None) -> ItemError:
    if name in kind.unique:
        return ItemError(409, "CONFLICT", f"{kind.word.capitalize()} already exists. Existing ID: {other}")
    where = f"PropertyValueCoordinates{{objectTypeId={kind.type_id}, propertyName={name}, value={value}}}"
    message = f"Cannot set {where} on {own_id or 'a new object'}. {other} already has that value."
    return property_faults([(name, "CONFLICTING_UNIQUE_VALUE", message)])


def _value(known: Mapping[str, Any], value: Any) -> str | _Fault:
    name = known["name"]
    if known["modificationMetadata"]["readOnlyValue"]:
        return name, "READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.'
    text = _text(value)
    if text is None:
        return name, "INVALID_STRING", f"{name} must be a string, a number or a boolean"
    if text == "":
        return ""
    if len(text) > _VALUE_LENGTH_MAX:
        return name, "PROPERTY_VALUE_TOO_LONG", f"{name} is longer than {_VALUE_LENGTH_MAX} characters"
    return _typed(known, name, text)


def _text(value: Any) -> str | None:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    return None


def _typed(known: Mapping[str, Any], name: str, text: str) -> str | _Fault:
    kind = known["type"]
    if name == "email":
        folded = text.strip().lower()
        wrong = (name, "INVALID_EMAIL", f"Email address {text} is invalid")
        return folded if _EMAIL.match(folded) else wrong
    if kind == "number":
        return text if _is_number(text) else (name, "INVALID_INTEGER", f"{text} was not a valid number.")
    if kind in {"datetime", "date"}:
        moment = time_ms(text)
        wrong = (name, "INVALID_DATE", f"{text} was not a valid {kind}.")
        return wrong if moment is None else (iso(moment) if kind == "datetime" else iso(moment)[:10])
    if kind == "bool":
        folded = text.lower()
        return (
            folded
            if folded in {"true", "false"}
            else (name, "INVALID_BOOLEAN", f"{text} was not a valid boolean.")
        )
    if kind == "enumeration" and known["options"]:
        return _option(known, name, text)
    return text


def _option(known: Mapping[str, Any], name: str, text: str) -> str | _Fault:
    allowed = [str(option["value"]) for option in known["options"]]
    several = known["fieldType"] == "checkbox"
    chosen = [part for part in text.split(";") if part] if several else [text]
    bad = [part for part in chosen if part not in allowed]
    if not bad:
        return text
    return name, "INVALID_OPTION", f"{bad[0]} was not one of the allowed options: [{', '.join(allowed)}]"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def time_ms(text: str) -> int | None:
    """Milliseconds since the epoch of a date-time property value: digits, or ISO 8601 (UTC where it says nothing)."""
    if _DIGITS.match(text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)
