"""How leads, people and promises stand, as operators are told. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headwater.policy.assigning import Assignment, next_of
from headwater.policy.routing import Routing
from headwater.sync.domain.leads import LOADING, LeadRow, LeadState
from headwater.sync.domain.sla import Timer, TimerKind


@dataclass(frozen=True, slots=True)
class PersonLoad:
    """What one person has."""

    person: str
    known: bool
    role: str = ""
    open: int = 0
    untouched: int = 0
    capacity: int | None = None
    hindrance: str = ""
    at_work: bool = False
    oldest_time: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """Leads in one state and of one person."""

    state: LeadState
    person: str
    leads: int
    untouched: int
    oldest_time: dt.datetime | None


@dataclass(frozen=True, slots=True)
class PoolTurn:
    """Whose turn it is."""

    pool: str
    members: tuple[str, ...]
    last: str
    next: str


@dataclass(frozen=True, slots=True)
class Loads:
    """How the people and the pools stand."""

    people: tuple[PersonLoad, ...]
    pools: tuple[PoolTurn, ...]
    states: Mapping[LeadState, int]


@dataclass(frozen=True, slots=True)
class SlaSummary:
    """How one promise is kept; percentiles 50, 90, 95, 99 in seconds of working time."""

    kind: TimerKind
    target: str
    open: int
    met: int
    breached: int
    percentiles: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class SlaReport:
    """How soon leads are looked after."""

    open: Sequence[Timer] = ()
    breaches: Sequence[Timer] = ()
    summaries: Sequence[SlaSummary] = ()


@dataclass(frozen=True, slots=True)
class TimedLead:
    """A lead with its timers."""

    row: LeadRow
    timers: Sequence[Timer] = ()


def loads_of(
    routing: Routing, counted: Sequence[Counted], turns: Mapping[str, str], now: dt.datetime
) -> Loads:
    """Return how the people and the pools stand at *now*. Pure."""
    states: dict[LeadState, int] = {}
    open_leads: dict[str, list[Counted]] = {}
    for item in counted:
        states[item.state] = states.get(item.state, 0) + item.leads
        if item.state in LOADING:
            open_leads.setdefault(item.person, []).append(item)
    loads = {person: sum(item.leads for item in items) for person, items in open_leads.items()}
    names = [*sorted(routing.people), *sorted(set(open_leads) - set(routing.people))]
    people = tuple(_person(routing, name, open_leads.get(name, ()), loads, now) for name in names)
    pools = []
    for name in sorted(routing.pools):
        found = next_of(routing, name, loads, turns, now)
        person = found.person if isinstance(found, Assignment) else ""
        pools.append(PoolTurn(name, routing.pools[name].members, turns.get(name, ""), person))
    return Loads(people, tuple(pools), states)


def _person(
    routing: Routing, name: str, items: Sequence[Counted], loads: Mapping[str, int], now: dt.datetime
) -> PersonLoad:
    untouched = sum(item.untouched for item in items)
    oldest = min((item.oldest_time for item in items if item.oldest_time), default=None)
    known = routing.people.get(name)
    if known is None:
        return PersonLoad(name, known=False, open=loads[name], untouched=untouched, oldest_time=oldest)
    calendar, load = routing.calendars[name], loads.get(name, 0)
    away = calendar.absence(now) is not None
    full = known.capacity is not None and load >= known.capacity
    hindrance = (
        "not active" if not known.active else "out of office" if away else "at capacity" if full else ""
    )
    return PersonLoad(
        name, known=True, role=known.role or "", open=load, untouched=untouched, capacity=known.capacity,
        hindrance=hindrance, at_work=known.active and calendar.is_open(now), oldest_time=oldest,
    )  # fmt: skip
