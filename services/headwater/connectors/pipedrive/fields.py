"""Custom fields by their names: Pipedrive addresses them by keys of 40 characters that differ in every account. Pure.

A policy may say the name that people see or the key. Options are known by their labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from headwater.connectors.base.moments import utc_text
from headwater.connectors.pipedrive.kinds import (
    CUSTOM_KINDS,
    Kind,
    Place,
    Standard,
    ValueKind,
)

CUSTOM: Final = "custom_fields"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object.

    Args:
        name: the policy's.
        code: Pipedrive's name or key.
        options: label to id, of a field that offers some.
    """

    name: str
    code: str
    kind: ValueKind = "text"
    place: Place = "top"
    writable: bool = True
    options: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every field of one object in one account.

    Args:
        ambiguous: names that several custom fields bear.
        unmapped: custom fields of a type that holds no single value of ours, by name.
    """

    fields: Mapping[str, Field]
    ambiguous: frozenset[str] = frozenset()
    unmapped: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> Field | None:
        """Return the field that a policy means."""
        return None if name in self.ambiguous else self.fields.get(name)

    def custom_codes(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the keys of the custom ones among *names*, in order."""
        found = (self.fields.get(name) for name in names)
        codes = (item.code for item in found if item and _is_custom(item))
        return tuple(dict.fromkeys(codes))


def catalogue_of(kind: Kind, definitions: Sequence[Mapping[str, Any]]) -> Catalogue:
    """Return the fields of an object from the vendor's definitions."""
    fields = {name: _standard(name, item) for name, item in kind.standard.items()}
    seen: dict[str, int] = {}
    unmapped: dict[str, str] = {}
    for item in definitions:
        if item.get("is_custom_field") is not True:
            continue
        name, code, kept = str(item.get("field_name")), str(item.get("field_code")), str(item["field_type"])
        if kept not in CUSTOM_KINDS:
            unmapped |= {name: kept, code: kept}
            continue
        seen[name] = seen.get(name, 0) + 1
        fields[code] = _custom(code, item)
        if name not in kind.standard:  # a standard field of the same name comes first
            fields[name] = _custom(name, item)
    twice = frozenset(name for name, count in seen.items() if count > 1 and name not in kind.standard)
    return Catalogue(fields, twice, unmapped)


def rendered(item: Field, value: Any, held: Mapping[str, Any]) -> Any:
    """Return *value* as it is sent; None clears.

    Args:
        held: the record as it is: a list of addresses is replaced whole, so the others are sent again.
    """
    if item.place == "primary":
        return _with_primary(held.get(item.code), _text(value))
    if value is None or value == "":
        return [] if item.kind == "ids" else None
    if item.kind == "address":
        return {"value": str(value)}
    return _plain(item, value)


def read(item: Field, record: Mapping[str, Any]) -> Any:
    """Return a record's value in the type that is written, None where it is empty."""
    inner = record.get(CUSTOM) if _is_custom(item) else record
    value = inner.get(item.code) if isinstance(inner, dict) else None
    if isinstance(value, dict):  # an address, a labelled option
        value = value.get("value", value.get("id"))
    if item.place == "primary":
        value = _primary(value)
    if value is None or value in ("", []):
        return None
    if item.kind == "option":
        return _label(item, value)
    if item.kind == "options" and isinstance(value, list):
        return [_label(item, one) for one in value]
    if item.kind == "number" and isinstance(value, float) and value.is_integer():
        return int(value)
    return utc_text(value) if item.kind == "time" and isinstance(value, str) else value


def _standard(name: str, item: Standard) -> Field:
    return Field(name, item.code, item.kind, item.place, item.writable)


def _custom(name: str, item: Mapping[str, Any]) -> Field:
    offered = item.get("options")
    options = {str(one["label"]): int(one["id"]) for one in offered} if isinstance(offered, list) else {}
    return Field(name, str(item["field_code"]), CUSTOM_KINDS[item["field_type"]], "custom", options=options)


def _is_custom(item: Field) -> bool:
    return item.place == "custom"


def _plain(item: Field, value: Any) -> Any:
    if item.kind == "whole":
        return int(value) if isinstance(value, str) and value.lstrip("-").isdigit() else value
    if item.kind == "number":
        return _number(value)
    if item.kind == "option":
        return item.options.get(str(value), value)
    if item.kind in {"options", "ids"}:
        many = value if isinstance(value, list | tuple) else [value]
        return [item.options.get(str(one), one) for one in many]
    return value if item.kind == "boolean" else _text(value)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    return None if value is None or value == "" else str(value)


def _number(value: Any) -> Any:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return value  # Pipedrive says what is wrong with it
    return int(number) if number.is_integer() else number


def _primary(entries: Any) -> Any:
    known = [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    first = next((one for one in known if one.get("primary") is True), known[0] if known else {})
    return first.get("value")


def _with_primary(entries: Any, value: str | None) -> list[dict[str, Any]]:
    """Return the list with *value* as its primary; what was primary goes, the others stay behind it."""
    known = [dict(one) for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    gone = _primary(known)
    label = next((one.get("label") for one in known if one.get("value") == gone), None)
    others = [{**one, "primary": False} for one in known if one.get("value") not in {gone, value}]
    if value is None:
        return [{**one, "primary": number == 0} for number, one in enumerate(others)]
    return [{"value": value, "primary": True, **({"label": label} if label else {})}, *others]


def _label(item: Field, value: Any) -> Any:
    return next((label for label, known in item.options.items() if known == value), value)
