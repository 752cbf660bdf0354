"""Why an entity shows the value it shows: the winner, the rule, and what each other record lost by. Pure.

Made when somebody asks, never while projecting; the winner is `survivorship`'s own, so the two cannot disagree.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from headwater.kernel.ids import OPERATOR_SOURCE, ObjectName
from headwater.policy.document import PolicyDocument
from headwater.policy.normalising.mail import suggestion
from headwater.policy.objects import FieldPolicy
from headwater.policy.ruling import Unit
from headwater.policy.survivorship import (
    Chosen,
    ChosenBy,
    MemberRecord,
    Stand,
    order_of,
    stand_of,
    survive,
)
from headwater.policy.words import SurvivorshipRule


class Candidate(msgspec.Struct, frozen=True):
    """What one record says of a field.

    Args:
        value: canonical value; None where the source cleared the field.
        won: whether the entity's value is its value; of a union, whether it is part of it.
        reason: what it lost by, as `not an owner`, `older`, `lower rank`, `locked by phone_verified`,
            `record deleted`; empty for a winner.
        raw: what the source said where the value is in another spelling; else None.
        suggestion: what was probably meant where the value looks misspelt; nothing is done about it by itself.
    """

    source: str
    external_id: str
    value: Any
    field_time: dt.datetime
    event_key: uuid.UUID
    won: bool
    reason: str
    raw: Any = None
    suggestion: str = ""


class Decision(msgspec.Struct, frozen=True):
    """Who decides a field of an entity, and why.

    Args:
        field: canonical field.
        group: fields that go with it, itself among them; empty for a field that is decided by itself.
        rule: what made the choice: the field's rule, `operator`, or `locked`; the field's rule when nobody won.
        winner: the value shown, with its provenance; None where no record may decide, or states a value.
        reason: why the winner won, in one sentence.
        owners: systems whose values count, the strongest first.
        locked_by: the locking field while it holds the value; else empty.
        candidates: every record that speaks of the field, the winner first, then those who came nearest.
    """

    field: str
    group: tuple[str, ...]
    rule: ChosenBy
    winner: Chosen | None
    reason: str
    owners: tuple[str, ...]
    locked_by: str
    candidates: tuple[Candidate, ...]


def explain(
    document: PolicyDocument, object_name: ObjectName, members: Iterable[MemberRecord], field: str
) -> Decision:
    """Return how *field* of an entity with *members* is decided under *document*.

    Args:
        members: all records of the entity, operators' corrections and deleted ones among them, in any order.

    Raises:
        LookupError: the document has no such object or field.
    """
    rules, known = document.rules[object_name], list(members)
    unit = rules.unit_of[field]
    winner = survive(rules, known).get(field)
    by: ChosenBy = winner.rule if winner is not None else unit.rule
    order = order_of(unit)
    rows: list[tuple[tuple[Any, ...], Candidate]] = []
    best = _winning_stand(unit, field, known, winner)
    for member in known:
        fact = member.fields.get(field)
        if fact is None:
            continue
        reason, place = _lost_by(unit, member, winner, best)
        stand = stand_of(unit, member, unit.ranks.get(member.source, len(unit.ranks)))
        strength = order(stand) if stand is not None else ()
        rows.append(
            (
                (place, strength, member.source, member.external_id),
                Candidate(
                    member.source,
                    member.external_id,
                    fact.value,
                    fact.field_time,
                    fact.event_key,
                    won=not reason,
                    reason=reason,
                    raw=fact.raw,
                    suggestion=suggest(document.objects[object_name].fields[field], fact.value),
                ),
            )
        )
    rows.sort(key=lambda row: row[0])
    owners = tuple(sorted(unit.ranks, key=unit.ranks.__getitem__))
    return Decision(
        field=field,
        group=unit.fields if unit.group else (),
        rule=by,
        winner=winner,
        reason=_why(unit, winner),
        owners=owners,
        locked_by=unit.lock if by == "locked" else "",
        candidates=tuple(candidate for _, candidate in rows),
    )


def suggest(policy: FieldPolicy, value: Any) -> str:
    """Return what was probably meant by a value that looks misspelt; empty where it does not."""
    return suggestion(value) if policy.type == "email" and isinstance(value, str) else ""


def _winning_stand(
    unit: Unit, field: str, members: Sequence[MemberRecord], winner: Chosen | None
) -> Stand | None:
    """Return how the record that won stands; None when none did."""
    if winner is None:
        return None
    for member in members:
        fact = member.fields.get(field)
        if member.source == winner.source and fact is not None and fact.event_key == winner.event_key:
            return stand_of(unit, member, unit.ranks.get(member.source, 0))
    return None


_WINS: Final = ("", 0)
"""The loss and the place of who won; the others come after by how far they got."""


def _lost_by(unit: Unit, member: MemberRecord, winner: Chosen | None, best: Stand | None) -> tuple[str, int]:
    """Return what *member* lost by, empty when it won, and its place: the winner before those who came near."""
    if best is not None and best.member is member:
        return _WINS
    barred = _barred(unit, member)
    if barred:
        return barred, 4
    stand = stand_of(unit, member, unit.ranks.get(member.source, 0))
    if stand is None:
        return "states no value", 3
    if winner is None or best is None:
        return "another record decides the group", 2
    if winner.rule == "operator":
        return ("older" if member.source == OPERATOR_SOURCE else "corrected by an operator"), 2
    if winner.rule == "locked":
        return f"locked by {unit.lock}", 2
    return _WINS if unit.rule == "union" else (_difference(unit, best, stand), 2)


def _barred(unit: Unit, member: MemberRecord) -> str:
    """Return why *member* may not decide *unit* at all; empty when it may."""
    if member.deleted:
        return "record deleted"
    if member.source == OPERATOR_SOURCE:
        return "" if unit.overridable else "corrections are not allowed"
    if member.source in unit.ranks:
        return ""
    return unit.denied.get(member.source, "not an owner")


_LABELS: Final[Mapping[SurvivorshipRule, tuple[str, ...]]] = {
    "source_priority": ("lower rank", "older"),
    "most_recent": ("older", "lower rank", "older"),
    "first": ("newer", "lower rank", "newer"),
    "longest": ("shorter", "older", "lower rank", "older"),
    "most_complete": ("less complete", "older", "lower rank", "older"),
    "max": ("smaller", "older", "lower rank", "older"),
    "min": ("larger", "older", "lower rank", "older"),
    "manual": ("older", "lower rank", "older"),
    "most_restrictive": ("less restrictive", "older", "lower rank", "older"),
}
"""What the parts of `survivorship.ORDERS` mean to the loser; what comes after them tells only names apart."""


def _difference(unit: Unit, best: Stand, stand: Stand) -> str:
    """Return the first thing by which *stand* comes after *best*."""
    order = order_of(unit)
    labels = _LABELS[unit.rule]
    for number, (first, second) in enumerate(zip(order(best), order(stand), strict=True)):
        if first != second:
            return labels[number] if number < len(labels) else "equal, and its name comes later"
    return "equal"


def _why(unit: Unit, winner: Chosen | None) -> str:
    if winner is None:
        return "no record that may decide this field states a value"
    if winner.rule == "operator":
        return "an operator corrected it"
    if winner.rule == "locked":
        return f"{unit.lock} is true by {winner.source}, whose value is held"
    return f"{unit.rule} among the owners {', '.join(sorted(unit.ranks, key=unit.ranks.__getitem__))}"
