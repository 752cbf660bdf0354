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
from typing import Any, Final, Literal

import msgspec

from headwater.kernel.ids import OPERATOR_SOURCE
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
    """

    value: Any
    field_time: dt.datetime
    event_key: uuid.UUID


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
    ranks = unit.ranks
    stands = [
        stand
        for member in own
        if member.source in ranks and (stand := stand_of(unit, member, ranks[member.source])) is not None
    ]
    if not stands:
        return None
    return unit.rule, stands if len(stands) == 1 else ordered(unit, stands)


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


def ordered(unit: Unit, stands: Iterable[Stand]) -> list[Stand]:
    """Return *stands*, the winner by the unit's rule first."""
    order = order_of(unit)
    return sorted(stands, key=order)


def order_of(unit: Unit) -> Callable[[Stand], OrderKey]:
    """Return the key by which the records of *unit* are ordered, the smallest first."""
    rule, skew_s = ORDERS[unit.rule], unit.skew_s
    return lambda stand: rule(unit, stand, stand.fact.field_time.timestamp(), skew_s)


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


def _by_time(_: Unit, stand: Stand, time_s: float, skew_s: float) -> OrderKey:
    member = stand.member
    return (-span(time_s, skew_s), stand.rank, -time_s, member.external_id, stand.fact.event_key)


def _by_age(_: Unit, stand: Stand, time_s: float, skew_s: float) -> OrderKey:
    member = stand.member
    return (span(time_s, skew_s), stand.rank, time_s, member.external_id, stand.fact.event_key)


def _by_rank(_: Unit, stand: Stand, time_s: float, __: float) -> OrderKey:
    return (stand.rank, -time_s, stand.member.external_id, stand.fact.event_key)


def _by_length(unit: Unit, stand: Stand, time_s: float, skew_s: float) -> OrderKey:
    return (-len(str(stand.fact.value)), *_by_time(unit, stand, time_s, skew_s))


def _by_completeness(unit: Unit, stand: Stand, time_s: float, skew_s: float) -> OrderKey:
    fields = stand.member.fields
    counted = [fields.get(name) for name in unit.fields] if unit.group else fields.values()
    filled = sum(1 for fact in counted if fact is not None and fact.value is not None)
    return (-filled, *_by_time(unit, stand, time_s, skew_s))


def _by_size(unit: Unit, stand: Stand, time_s: float, skew_s: float) -> OrderKey:
    """Numbers by size, texts (dates, moments) by their order, numbers before texts."""
    value = stand.fact.value
    size = (False, float(value), "") if isinstance(value, (int, float)) else (True, 0.0, str(value))
    return (size, *_by_time(unit, stand, time_s, skew_s))


class _Descending:
    """A key in reverse: what is larger goes first."""

    __slots__ = ("key",)

    def __init__(self, key: tuple[Any, ...]) -> None:
        self.key = key

    def __lt__(self, other: _Descending) -> bool:
        return self.key > other.key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and self.key == other.key

    __hash__ = None  # type: ignore[assignment] - an order, never looked up


def _by_size_down(unit: Unit, stand: Stand, time_s: float, skew_s: float) -> OrderKey:
    size, *rest = _by_size(unit, stand, time_s, skew_s)
    return (_Descending(size), *rest)


ORDERS: Final[Mapping[SurvivorshipRule, Callable[[Unit, Stand, float, float], OrderKey]]] = {
    "source_priority": _by_rank,
    "most_recent": _by_time,
    "first": _by_age,
    "longest": _by_length,
    "most_complete": _by_completeness,
    "max": _by_size_down,
    "min": _by_size,
    "union": _by_rank,
    "manual": _by_time,
}
"""What the records of a unit are ordered by, the smallest first; all end in names that no two share."""
