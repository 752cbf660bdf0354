"""Which of its members' values an entity shows. Pure, and blind to arrival order.

Every rule is a total order over the records that may decide, so any permutation of the members gives the same
choice, and a record that arrives either wins or changes nothing. Above the rule stand operators' corrections, then
locks. Time decides only as the tie-break inside a rule (A8).

**Clock skew.** Clocks of two systems agree only within their bounds, so "newer" means nothing below that. Asking of
each pair whether it lies within the bound is no order: A may tie with B and B with C, but not A with C, and then the
winner hangs on who is compared first. Instead time is cut into spans as wide as the largest bound of the field's
owners, on one grid for all: facts in one span tie, the stronger owner goes first, and of one owner, whose clock is one
clock, the exact time decides. That is a plain order of tuples. Its price: two facts on either side of a span's
edge do not tie however close they are; they are decided by time, as everything was before there were spans.

The values are structs, not dataclasses: a projector makes dozens of them an event, and a frozen dataclass costs five
times as much.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal

import msgspec

from headwater.kernel.ids import OPERATOR_SOURCE
from headwater.policy.consenting import said
from headwater.policy.ruling import ObjectRules, Unit
from headwater.policy.words import SurvivorshipRule

ChosenBy = SurvivorshipRule | Literal["operator", "locked"]
"""What made the choice: the field's rule, an operator's correction, or a lock."""


class FieldFact(msgspec.Struct, frozen=True):
    """A value as one record states it.

    Args:
        value: canonical value; None where the source cleared the field.
        field_time: when it became true in the source, aware, UTC.
        event_key: the event that said so.
        raw: what the source said where the value is in another spelling; else None.
    """

    value: Any
    field_time: dt.datetime
    event_key: uuid.UUID
    raw: Any = None


class MemberRecord(msgspec.Struct, frozen=True):
    """A source record with its own values."""

    source: str
    external_id: str
    fields: Mapping[str, FieldFact]
    deleted: bool = False


class Chosen(msgspec.Struct, frozen=True):
    """The value an entity shows, with its provenance."""

    value: Any
    rule: ChosenBy
    source: str
    event_key: uuid.UUID
    field_time: dt.datetime


class Stand(msgspec.Struct, frozen=True):
    """A record that may decide a unit, and the newest fact it states of it."""

    rank: int
    member: MemberRecord
    fact: FieldFact


OrderKey = tuple[Any, ...]


def survive(rules: ObjectRules, members: Iterable[MemberRecord]) -> dict[str, Chosen]:
    """Return the value of every field that any living member may decide.

    Values of sources that are not among the field's owners never count, save operators' corrections, which count
    above all where the field allows them.
    """
    living = [member for member in members if not member.deleted]
    own = [member for member in living if member.source != OPERATOR_SOURCE]
    pins = [member for member in living if member.source == OPERATOR_SOURCE] if len(own) < len(living) else ()
    chosen: dict[str, Chosen] = {}
    deciders: dict[str, MemberRecord] = {}
    for unit in rules.units:
        found = _decide(unit, own, pins, chosen, deciders)
        if found is None:
            continue
        by, stands = found
        best = stands[0]
        if not unit.group:
            name, fact = unit.fields[0], best.fact
            value = _union(stands) if by == "union" else fact.value
            chosen[name] = Chosen(value, by, best.member.source, fact.event_key, fact.field_time)
            if name in rules.locks:
                deciders[name] = best.member
        else:
            for name in unit.fields:
                stated = best.member.fields.get(name)
                if stated is not None and stated.value is not None:
                    chosen[name] = Chosen(
                        stated.value, by, best.member.source, stated.event_key, stated.field_time
                    )
    return chosen


def _decide(
    unit: Unit,
    own: Sequence[MemberRecord],
    pins: Sequence[MemberRecord],
    chosen: Mapping[str, Chosen],
    deciders: Mapping[str, MemberRecord],
) -> tuple[ChosenBy, Sequence[Stand]] | None:
    """Return what decides *unit*, and the records that stand, the winner first; None where nobody states a value."""
    if pins and unit.overridable:
        stated = [stand for pin in pins if (stand := stand_of(unit, pin, 0)) is not None]
        if stated:
            return "operator", (max(stated, key=_newest),)
    if unit.lock and (holder := held_by(unit, chosen, deciders)) is not None:
        return "locked", (holder,)
    stands = _group_stands(unit, own) if unit.group else _field_stands(unit, own)
    if len(stands) > 1:
        ordered = (
            sorted(stands, key=order_of(unit)) if unit.rule == "union" else (min(stands, key=order_of(unit)),)
        )
        return unit.rule, ordered
    return (unit.rule, stands) if stands else None


def _field_stands(unit: Unit, own: Sequence[MemberRecord]) -> list[Stand]:
    """Return the records that state a value of a single field: the hottest loop of a projection, so written out."""
    name, ranks = unit.fields[0], unit.ranks
    stands: list[Stand] = []
    for member in own:
        fact = member.fields.get(name)
        if fact is not None and fact.value is not None:
            rank = ranks.get(member.source)
            if rank is not None:
                stands.append(Stand(rank, member, fact))
    return stands


def _group_stands(unit: Unit, own: Sequence[MemberRecord]) -> list[Stand]:
    ranked = ((member, unit.ranks.get(member.source)) for member in own)
    found = (stand_of(unit, member, rank) for member, rank in ranked if rank is not None)
    return [stand for stand in found if stand is not None]


def stand_of(unit: Unit, member: MemberRecord, rank: int) -> Stand | None:
    """Return how *member* stands in the decision of *unit*; None when it states no value of it."""
    if not unit.group:
        fact = member.fields.get(unit.fields[0])
        return None if fact is None or fact.value is None else Stand(rank, member, fact)
    stated = [fact for name in unit.fields if (fact := member.fields.get(name)) and fact.value is not None]
    return Stand(rank, member, max(stated, key=_fact_order)) if stated else None


def held_by(unit: Unit, chosen: Mapping[str, Chosen], deciders: Mapping[str, MemberRecord]) -> Stand | None:
    """Return the record whose value a lock holds: the one by which the locking field is true.

    None while the locking field is not true, or where that record states no value to hold.
    """
    flag = chosen.get(unit.lock)
    if flag is None or flag.value is not True:
        return None
    return stand_of(unit, deciders[unit.lock], 0)


def order_of(unit: Unit) -> Callable[[Stand], OrderKey]:
    """Return the key by which the records of *unit* are ordered, the smallest first."""
    return partial(ORDERS[unit.rule], unit)


def _newest(stand: Stand) -> tuple[Any, ...]:
    return (*_fact_order(stand.fact), stand.member.external_id)


def _fact_order(fact: FieldFact) -> tuple[dt.datetime, uuid.UUID]:
    return (fact.field_time, fact.event_key)


def _union(stands: Iterable[Stand]) -> list[Any]:
    seen: dict[str, Any] = {}
    for item in stands:
        values = item.fact.value if isinstance(item.fact.value, list) else [item.fact.value]
        for value in values:
            seen.setdefault(repr(value), value)
    return [seen[key] for key in sorted(seen)]


def span(time_s: float, skew_s: float) -> float:
    """Return the number of the span in which a time lies; without a bound each time is its own."""
    return time_s // skew_s if skew_s else time_s


def _by_time(unit: Unit, stand: Stand) -> OrderKey:
    time_s = stand.fact.field_time.timestamp()
    member = stand.member
    return (-span(time_s, unit.skew_s), stand.rank, -time_s, member.external_id, stand.fact.event_key)


def _by_age(unit: Unit, stand: Stand) -> OrderKey:
    time_s = stand.fact.field_time.timestamp()
    member = stand.member
    return (span(time_s, unit.skew_s), stand.rank, time_s, member.external_id, stand.fact.event_key)


def _by_rank(_: Unit, stand: Stand) -> OrderKey:
    fact = stand.fact
    return (stand.rank, -fact.field_time.timestamp(), stand.member.external_id, fact.event_key)


def _by_length(unit: Unit, stand: Stand) -> OrderKey:
    return (-len(str(stand.fact.value)), *_by_time(unit, stand))


def _by_completeness(unit: Unit, stand: Stand) -> OrderKey:
    fields = stand.member.fields
    counted = [fields.get(name) for name in unit.fields] if unit.group else fields.values()
    filled = sum(1 for fact in counted if fact is not None and fact.value is not None)
    return (-filled, *_by_time(unit, stand))


def _by_size(unit: Unit, stand: Stand) -> OrderKey:
    """Numbers by size, texts (dates, moments) by their order, numbers before texts."""
    value = stand.fact.value
    size = (False, float(value), "") if isinstance(value, (int, float)) else (True, 0.0, str(value))
    return (size, *_by_time(unit, stand))


def _by_restriction(unit: Unit, stand: Stand) -> OrderKey:
    """What refuses goes first, whoever says it: consent goes with whoever is merged."""
    refusing, granting = unit.restricts
    value = said(stand.fact.value)
    return (not (value in refusing or (bool(granting) and value not in granting)), *_by_time(unit, stand))


class _Descending:
    """A key in reverse: what is larger goes first."""

    __slots__ = ("key",)

    def __init__(self, key: tuple[Any, ...]) -> None:
        self.key = key

    def __lt__(self, other: _Descending) -> bool:
        return self.key > other.key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def _by_size_down(unit: Unit, stand: Stand) -> OrderKey:
    size, *rest = _by_size(unit, stand)
    return (_Descending(size), *rest)


ORDERS: Final[Mapping[SurvivorshipRule, Callable[[Unit, Stand], OrderKey]]] = {
    "source_priority": _by_rank,
    "most_recent": _by_time,
    "first": _by_age,
    "longest": _by_length,
    "most_complete": _by_completeness,
    "max": _by_size_down,
    "min": _by_size,
    "union": _by_rank,
    "manual": _by_time,
    "most_restrictive": _by_restriction,
}
"""What the records of a unit are ordered by, the smallest first; all end in names that no two share."""
