"""Which of its members' values an entity shows, and why. Pure, and blind to arrival order.

Every rule is a total order over candidates, so any permutation of the members gives the same
choice. Time decides only as the tie-break inside a rule (A8). The values are structs, not
dataclasses: a projector makes dozens of them an event, and a frozen dataclass costs five times as much.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from headwater.kernel.ids import OPERATOR_SOURCE
from headwater.policy.document import FieldPolicy, ObjectPolicy
from headwater.policy.words import SurvivorshipRule


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
    rule: SurvivorshipRule | Literal["operator"]
    source: str
    event_key: uuid.UUID
    field_time: dt.datetime


class _Candidate(msgspec.Struct, frozen=True):
    rank: int
    source: str
    external_id: str
    fact: FieldFact


def survive(policy: ObjectPolicy, members: Iterable[MemberRecord]) -> dict[str, Chosen]:
    """Return the value of every field that any living member may decide.

    Values of sources that are not among the field's owners never count, save operators' corrections,
    which count above all.
    """
    living = [member for member in members if not member.deleted]
    pins = [member for member in living if member.source == OPERATOR_SOURCE]
    chosen: dict[str, Chosen] = {}
    for name, field_policy in policy.fields.items():
        candidates = _candidates(name, field_policy.owners, living)
        if candidates:
            chosen[name] = _choose(field_policy, candidates)
    for name in policy.fields if pins else ():
        stated = [pin for pin in pins if name in pin.fields and pin.fields[name].value is not None]
        if stated:
            chosen[name] = _pinned(name, stated)
    return chosen


def _pinned(name: str, stated: Sequence[MemberRecord]) -> Chosen:
    """Return the newest of operators' values: they stand above every owner and every rule."""
    best = max(stated, key=lambda pin: (pin.fields[name].field_time, pin.fields[name].event_key))
    fact = best.fields[name]
    return Chosen(fact.value, "operator", best.source, fact.event_key, fact.field_time)


def _candidates(name: str, owners: Sequence[str], members: Sequence[MemberRecord]) -> list[_Candidate]:
    return [
        _Candidate(owners.index(member.source), member.source, member.external_id, fact)
        for member in members
        if (fact := member.fields.get(name)) is not None
        and fact.value is not None
        and member.source in owners
    ]


def _choose(policy: FieldPolicy, candidates: list[_Candidate]) -> Chosen:
    if len(candidates) > 1:
        candidates.sort(key=_tie_break)
        candidates.sort(key=_ORDERS[policy.rule], reverse=policy.rule == "max")  # stable: the tie-break stays
    best = candidates[0]
    value = _union(candidates) if policy.rule == "union" else best.fact.value
    return Chosen(value, policy.rule, best.source, best.fact.event_key, best.fact.field_time)


def _tie_break(item: _Candidate) -> tuple[Any, ...]:
    return (-item.fact.field_time.timestamp(), item.rank, item.source, item.external_id, item.fact.event_key)


def _union(ordered: Sequence[_Candidate]) -> list[Any]:
    seen: dict[str, Any] = {}
    for item in ordered:
        values = item.fact.value if isinstance(item.fact.value, list) else [item.fact.value]
        for value in values:
            seen.setdefault(repr(value), value)
    return [seen[key] for key in sorted(seen)]


def _size(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, texts (dates, moments) by their order, numbers before texts."""
    if isinstance(value, (int, float)):
        return (False, float(value), "")
    return (True, 0.0, str(value))


_ORDERS: Final[Mapping[SurvivorshipRule, Callable[[_Candidate], Any]]] = {
    "source_priority": lambda item: item.rank,
    "most_recent": lambda item: -item.fact.field_time.timestamp(),
    "first": lambda item: item.fact.field_time.timestamp(),
    "longest": lambda item: -len(str(item.fact.value)),
    "max": lambda item: _size(item.fact.value),
    "min": lambda item: _size(item.fact.value),
    "union": lambda item: item.rank,
}
"""The smallest comes first; for `max` the largest."""
