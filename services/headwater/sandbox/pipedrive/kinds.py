"""Owns what Pipedrive's objects hold, and the form of their values. Data, and how a value is checked."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from headwater.sandbox.pipedrive.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headwater.sandbox.store.records import Fields

_DAY = re.compile(r"^\d{4}-\d\d-\d\d$")
_TEXT_MAX: Final = {"varchar": 255, "text": 65_536, "phone": 255}
EMPTY: Final[Mapping[str, Any]] = {"emails": [], "phones": [], "label_ids": []}


@dataclass(frozen=True, slots=True)
class Kind:
    """One object type: its standard fields by type, and those that lead to other records."""

    name: str
    word: str
    fields_path: str
    required: str
    standard: Mapping[str, str]
    links: Mapping[str, str]


_USUAL: Final = {"owner_id": "int", "visible_to": "int", "label_ids": "ids", "add_time": "text"}
KINDS: Final[Mapping[str, Kind]] = {
    "persons": Kind(
        "persons",
        "person",
        "personFields",
        "name",
        {
            **_USUAL,
            "name": "varchar",
            "org_id": "int",
            "emails": "entries",
            "phones": "entries",
            "marketing_status": "varchar",
        },
        {"org_id": "organizations"},
    ),
    "organizations": Kind(
        "organizations",
        "organization",
        "organizationFields",
        "name",
        {**_USUAL, "name": "varchar", "address": "address"},
        {},
    ),
    "deals": Kind(
        "deals",
        "deal",
        "dealFields",
        "title",
        {
            **_USUAL,
            "title": "varchar",
            "value": "double",
            "currency": "varchar",
            "status": "varchar",
            "lost_reason": "varchar",
            "probability": "double",
            "expected_close_date": "date",
            "person_id": "int",
            "org_id": "int",
            "pipeline_id": "int",
            "stage_id": "int",
            "won_time": "text",
            "lost_time": "text",
            "close_time": "text",
        },
        {"person_id": "persons", "org_id": "organizations"},
    ),
}
BY_FIELDS_PATH: Final = {kind.fields_path: kind for kind in KINDS.values()}
BY_WORD: Final = {kind.word: kind for kind in KINDS.values()}


def _anything(_value: Any) -> bool:
    return True


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_whole(value: Any) -> bool:
    return isinstance(value, list) and all(_is_whole(one) for one in value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_day(value: Any) -> bool:
    return isinstance(value, str) and _DAY.match(value) is not None


_FORMS: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    **dict.fromkeys(("int", "enum"), (_is_whole, "must be an integer")),
    **dict.fromkeys(("ids", "set"), (_are_whole, "must be an array of integers")),
    **dict.fromkeys(_TEXT_MAX, (_is_text, "must be a string")),
    "double": (_is_number, "must be a number"),
    "date": (_is_day, "must be a date like 2025-01-01"),
}
"""What a value of each type must be, and what is said otherwise."""


def stamp(now_ms: int) -> str:
    """A time as v2 writes it: whole seconds."""
    return dt.datetime.fromtimestamp(now_ms // 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def blank(kind: Kind) -> Fields:
    """A record before anything was said of it."""
    return {name: EMPTY.get(name) for name in kind.standard}


def checked(field: str, form: str, value: Any) -> Any:
    """The value as it is kept.

    Raises:
        Refusal: it is not of the field's form.
    """
    if value is None:
        return list(EMPTY[field]) if field in EMPTY else None
    if form == "entries":
        return _entries(field, value)
    if form == "address":
        if not isinstance(value, dict) or not isinstance(value.get("value"), str):
            raise invalid(field, "must be an object with a value")
        return {"value": value["value"]}
    fits, words = _FORMS.get(form, (_anything, ""))
    if not fits(value):
        raise invalid(field, words)
    if form in _TEXT_MAX and len(value) > _TEXT_MAX[form]:
        raise invalid(field, f"must not be longer than {_TEXT_MAX[form]} characters")
    return value or None if isinstance(value, str) else value


def _entries(field: str, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or any(
        not isinstance(one, dict) or not isinstance(one.get("value"), str) for one in value
    ):
        raise invalid(field, "must be an array of objects with a value")
    named = [one for one in value if one["value"]]
    first = next((number for number, one in enumerate(named) if one.get("primary") is True), 0)
    return [
        {"value": one["value"], "primary": number == first, "label": str(one.get("label") or "work")}
        for number, one in enumerate(named)
    ]
