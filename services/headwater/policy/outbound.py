"""From an entity's values to the fields a CRM should hold, and the smallest change. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headwater.policy.consenting import Consents, refusal
from headwater.policy.expressions import evaluate
from headwater.policy.outbound_mapping import OutboundField, OutboundObject
from headwater.policy.words import TransformName


class Unwritable(ValueError):
    """A value of an entity that its mapping cannot put into the CRM's words: field, value and rule are said."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a CRM should hold of an entity, less what consent withholds from it.

    Args:
        fields: CRM field to its value; None where there is none. Where *withheld*, the flags that say so alone.
        kept_back: canonical fields that are not written.
        withheld: why nothing else is written; empty where the record is.
        note: what is not written and why; empty where all is.
    """

    fields: Mapping[str, Any]
    kept_back: frozenset[str] = frozenset()
    withheld: str = ""
    note: str = ""


def select_target(targets: Sequence[OutboundObject], values: Mapping[str, Any]) -> OutboundObject | None:
    """Return the first target whose conditions *values* meet, None when the entity goes nowhere."""
    for target in targets:
        if all(values.get(name) in allowed for name, allowed in target.when.items()):
            return target
    return None


def desired_fields(target: OutboundObject, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return every mapped CRM field with the value it should have; None where there is none.

    Raises:
        Unwritable: a transform or an expression makes nothing of a value.
    """
    return {crm_field: _render(item, values) for crm_field, item in target.fields.items()}


def wanted_fields(target: OutboundObject, values: Mapping[str, Any], consents: Consents) -> Wanted:
    """Return what the CRM should hold of a living entity; what its end had marked is cleared.

    Raises:
        Unwritable: a transform or an expression makes nothing of a value that is written.
    """
    cleared = dict.fromkeys(target.end_marks)
    if not target.consent:
        return Wanted(cleared | desired_fields(target, values))
    flags: dict[str, Any] = {name: None for item in target.consent.values() for name in item.flags}
    notes: list[str] = []
    kept_back: set[str] = set()
    withheld = ""
    for purpose, item in target.consent.items():
        known = consents.get(purpose)
        why = "nobody says what it asks" if known is None else refusal(known, values)
        if not why:
            continue
        flags |= item.flags
        kept_back.update(item.fields)
        if item.withhold != "nothing":
            notes.append(f"{purpose}: {why}: {', '.join(item.fields) or 'the record'} is not written")
        if item.withhold == "record":
            withheld = withheld or f"{purpose}: {why}"
    note = "; ".join(notes)
    if withheld:
        return Wanted(flags, frozenset(kept_back), withheld, note)
    written = {
        name: _render(item, values) for name, item in target.fields.items() if item.field not in kept_back
    }
    return Wanted(cleared | flags | written, frozenset(kept_back), "", note)


def end_marks(target: OutboundObject, state: str, winner_entity_id: str) -> dict[str, Any]:
    """Return what an entity that ended is marked with; nothing else of its record is changed.

    Args:
        state: `merged` or `deleted`.
        winner_entity_id: the entity it was merged into; empty when deleted.
    """
    meanings = {"state": state, "winner_entity_id": winner_entity_id or None}
    return {crm_field: meanings[meaning] for crm_field, meaning in target.end_marks.items()}


def minimal_patch(desired: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that differ from what the CRM is known to hold.

    A field the CRM was never given and that has no value is left alone.
    """
    return {
        name: value
        for name, value in desired.items()
        if (name in known and not same_value(known[name], value)) or (name not in known and value is not None)
    }


@dataclass(frozen=True, slots=True)
class Fill:
    """A smallest change, less what is written into empty fields only and may not be.

    Args:
        patch: with the fields of *unsure*.
        unsure: to be looked at before they are written: what the CRM holds of them is not known for certain.
        note: what is not written and why; empty where all is.
    """

    patch: dict[str, Any]
    unsure: frozenset[str] = frozenset()
    note: str = ""


def fill_empty(
    if_empty: frozenset[str],
    patch: Mapping[str, Any],
    known: Mapping[str, Any],
    shown: Mapping[str, bool] | None,
) -> Fill:
    """Return *patch* with those of its fields in *if_empty* that go into an empty field.

    Args:
        known: what the CRM is known to hold.
        shown: what a look just before has shown: CRM field to whether it holds a value; those that could not be read
            are absent. None: nobody has looked. What is only thought to be empty may be filled since.
    """
    kept, unsure, notes = dict(patch), set[str](), list[str]()
    for name in [name for name in patch if name in if_empty]:
        held = known.get(name) not in (None, "")
        if patch[name] in (None, ""):
            del kept[name]
        elif held or (shown or {}).get(name):
            del kept[name]
            notes.append(f"{name} is written only into an empty field, and holds a value")
        elif shown is None:
            unsure.add(name)
        elif name not in shown:
            del kept[name]
            notes.append(f"{name} is written only into an empty field, and what it holds cannot be read")
    return Fill(kept, frozenset(unsure), f"scope: {'; '.join(notes)}" if notes else "")


def same_value(held: Any, wanted: Any) -> bool:
    """Return whether a CRM's value is the wanted one, in whichever form it is shown."""
    if wanted is None or wanted == "":
        return held is None or held == ""
    if held is None:
        return False
    if isinstance(wanted, bool) or isinstance(held, bool):
        return str(held).lower() == str(wanted).lower()
    if isinstance(wanted, str) and isinstance(held, str):  # never by number: 0123 is not 123
        return held.strip() == wanted.strip()
    try:
        return float(held) == float(wanted)
    except (TypeError, ValueError):
        texts = (str(held).strip(), str(wanted).strip())
        return texts[0] == texts[1] or (isinstance(wanted, int) and _is_moment(texts[0], wanted))


def _is_moment(text: str, epoch_ms: int) -> bool:
    """Return whether *text* is the moment that was written as *epoch_ms*: CRMs show moments as ISO 8601."""
    try:
        return _epoch_ms(text) == epoch_ms
    except ValueError:
        return False


def _render(item: OutboundField, values: Mapping[str, Any]) -> Any:
    value = values.get(item.field) if item.field else None
    if value is None:
        return item.default
    if isinstance(value, str):
        value = item.values.get(value, value)
    try:
        return evaluate(item.expr, value) if item.expr else _TRANSFORMS[item.transform](value)
    except (ValueError, TypeError, OverflowError) as error:
        by = f"expression {item.expr}" if item.expr else f"transform {item.transform}"
        raise Unwritable(f"{item.field}: {by} makes nothing of {str(value)[:128]!r}: {error}") from error


def _text(value: Any) -> Any:
    return value


def _iso_date(value: Any) -> str:
    return str(value)[:10]


def _epoch_ms(value: Any) -> int:
    moment = dt.datetime.fromisoformat(str(value))
    aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return int(aware.timestamp() * 1000)


def _iso_datetime(value: Any) -> str:
    return str(value) if "T" in str(value) else f"{value}T00:00:00Z"


def _join(value: Any) -> str:
    return ";".join(str(item) for item in value) if isinstance(value, list) else str(value)


_TRANSFORMS: Final[Mapping[TransformName, Callable[[Any], Any]]] = {
    "text": _text,
    "iso_date": _iso_date,
    "iso_datetime": _iso_datetime,
    "epoch_ms": _epoch_ms,
    "upper": lambda value: str(value).upper(),
    "lower": lambda value: str(value).lower(),
    "integer": lambda value: int(float(value)),
    "join": _join,
}
