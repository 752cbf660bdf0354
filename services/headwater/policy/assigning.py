"""Who gets a lead. Pure, and the same for the same input: nobody is drawn.

The first rule that holds names a pool, or a person. In a pool the turn goes round: it is the next one's after whoever
had the last, passing over those who are out of office, at capacity, not active or of another role; where nobody is
left it goes on to the pool's overflow, and at last to the fallback. A lead on the fast lane goes to somebody who is at
work now, where there is one in any of those pools.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from headwater.policy.conditions import Lead, fits, holds
from headwater.policy.routing import Lane, Routing

FALLBACK: Final = "fallback"
"""The rule's name where none holds."""
REASONS_SHOWN: Final = 6
"""People passed over that a reason names."""


class Assignment(msgspec.Struct, frozen=True):
    """Somebody gets the lead.

    Args:
        rule: that held.
        pool: whose turn it was; empty where the rule names a person.
        turn: the member whose turn it was: the person, or whom they cover; empty without a pool.
        reason: in one sentence, for people.
    """

    person: str
    rule: str
    pool: str
    lane: Lane
    turn: str
    reason: str


class Nobody(msgspec.Struct, frozen=True):
    """Nobody can take the lead now."""

    rule: str
    lane: Lane
    reason: str


class Suppressed(msgspec.Struct, frozen=True):
    """Nobody is given the lead, by a condition of this name."""

    by: str

    @property
    def reason(self) -> str:
        """In one sentence, for people."""
        return f"suppressed by {self.by}"


Verdict = Assignment | Nobody | Suppressed


@dataclass(slots=True)
class Book:
    """What the people have, and whose turn was last.

    Args:
        loads: person to open leads.
        turns: pool to the member who had the last turn.
    """

    loads: Counter[str] = field(default_factory=Counter)
    turns: dict[str, str] = field(default_factory=dict)

    def enter(self, assignment: Assignment) -> None:
        """Count an assignment."""
        self.loads[assignment.person] += 1
        if assignment.pool:
            self.turns[assignment.pool] = assignment.turn


def route(
    routing: Routing,
    lead: Lead,
    loads: Mapping[str, int],
    turns: Mapping[str, str],
    now: dt.datetime,
    excluded: frozenset[str] = frozenset(),
) -> Verdict:
    """Return who gets *lead* at *now*, by which rule and why.

    Args:
        loads: person to open leads; who is absent has none.
        turns: pool to the member who had the last turn.
        excluded: people who may not get it.
    """
    by = suppressed_by(routing, lead)
    if by:
        return Suppressed(by)
    lane = lane_of(routing, lead)
    rule = next((item for item in routing.rules if holds(routing, item.when, lead, lane)), None)
    name = rule.name if rule else FALLBACK
    office = _Office(routing, loads, turns, now, excluded)
    for urgent in (True, False) if lane == "fast" else (False,):
        if rule is not None and rule.person:
            found = office.stand_in(rule.person, urgent=urgent)
            if found:
                covering = f", covering {rule.person}" if found != rule.person else ""
                return Assignment(found, name, "", lane, "", f"rule {name} names {found}{covering}")
        start = rule.pool if rule is not None and rule.pool else routing.fallback
        found_by_turn = _by_turn(office, start, name, lane, urgent=urgent)
        if found_by_turn:
            return found_by_turn
    return Nobody(name, lane, f"rule {name}: nobody is available{office.told()}")


def next_of(
    routing: Routing, pool: str, loads: Mapping[str, int], turns: Mapping[str, str], now: dt.datetime
) -> Verdict:
    """Return who would get the next lead of *pool* at *now*, through overflow and fallback if need be."""
    return _by_turn(
        _Office(routing, loads, turns, now, frozenset()), pool, "next", "normal", urgent=False
    ) or (Nobody("next", "normal", "nobody is available"))


def suppressed_by(routing: Routing, lead: Lead) -> str:
    """Return the condition by which nobody is given *lead*; empty when none holds."""
    return next((item.name for item in routing.suppress if holds(routing, item.when, lead)), "")


def lane_of(routing: Routing, lead: Lead) -> Lane:
    """Return on which lane *lead* is."""
    return "fast" if any(holds(routing, item.when, lead) for item in routing.fast_lane) else "normal"


def is_done(routing: Routing, lead: Lead) -> bool:
    """Tell whether nothing is left to do about *lead*."""
    read = next((item for name, item in routing.objects.items() if name == lead.object), None)
    return read is not None and any(fits({name: allowed}, lead.values) for name, allowed in read.done.items())


def lost_standing(routing: Routing, person: str, pool: str, role: str) -> str:
    """Return why *person* would no longer get what they got from *pool* in *role*; empty when they would."""
    known = routing.people.get(person)
    if known is None:
        return f"{person} is no longer among the people"
    if not known.active:
        return f"{person} is not active"
    if (known.role or "") != role:
        return f"{person} is {known.role or 'without a role'} now, was {role or 'without a role'}"
    given = routing.pools.get(pool) if pool else None
    covered = given is not None and any(
        absence.cover == person for name in given.members for absence in routing.people[name].out
    )
    if given is not None and person not in given.members and not covered:
        return f"{person} is no longer in pool {pool}"
    return ""


def _chain(routing: Routing, start: str) -> Iterator[str]:
    """Yield pools in the order in which they are asked: the first, its overflow and so on, at last the fallback."""
    passed: set[str] = set()
    for first in (start, routing.fallback):
        pool: str | None = first
        while pool is not None and pool not in passed:
            passed.add(pool)
            yield pool
            pool = routing.pools[pool].overflow


def _by_turn(office: _Office, start: str, rule: str, lane: Lane, *, urgent: bool) -> Assignment | None:
    """Return who gets a lead by turn, from the pool *start* on; None when nobody can."""
    for pool in _chain(office.routing, start):
        taken = office.turn(pool, urgent=urgent)
        if taken:
            person, member = taken
            reason = _reason(rule, pool, person, member, office, urgent=urgent)
            return Assignment(person, rule, pool, lane, member, reason)
    return None


class _Office:
    """The people as they are at one moment; notes whom it passes over, and why."""

    def __init__(
        self,
        routing: Routing,
        loads: Mapping[str, int],
        turns: Mapping[str, str],
        now: dt.datetime,
        excluded: frozenset[str],
    ) -> None:
        self.routing = routing
        self._loads = loads
        self._turns = turns
        self._now = now
        self._excluded = excluded
        self._passed: dict[str, str] = {}

    def turn(self, pool: str, *, urgent: bool) -> tuple[str, str] | None:
        """Return whose turn it is and the member behind it; None when nobody can."""
        given = self.routing.pools[pool]
        members, last = given.members, self._turns.get(pool)
        first = members.index(last) + 1 if last in members else 0
        for member in (*members[first:], *members[:first]):
            role = self.routing.people[member].role
            if given.role is not None and role != given.role:
                self._passed.setdefault(member, f"not {given.role}")
                continue
            found = self.stand_in(member, urgent=urgent)
            if found:
                return found, member
        return None

    def stand_in(self, person: str, *, urgent: bool) -> str:
        """Return *person*, or who covers their absence; empty when neither can."""
        known = self.routing.people[person]
        absence = self.routing.calendars[person].absence(self._now) if known.active else None
        if absence is not None:
            self._passed.setdefault(person, "out of office")
            return absence.cover if absence.cover and self._can(absence.cover, urgent=urgent) else ""
        return person if self._can(person, urgent=urgent) else ""

    def _can(self, person: str, *, urgent: bool) -> bool:
        hindrance = self._hindrance(person, urgent=urgent)
        if hindrance:
            self._passed[person] = hindrance
        return not hindrance

    def _hindrance(self, person: str, *, urgent: bool) -> str:
        known, calendar = self.routing.people[person], self.routing.calendars[person]
        if not known.active:
            return "not active"
        if person in self._excluded:
            return "has it already"
        if calendar.absence(self._now) is not None:
            return "out of office"
        load = self._loads.get(person, 0)
        if known.capacity is not None and load >= known.capacity:
            return f"at capacity {load}/{known.capacity}"
        if urgent and not calendar.is_open(self._now):
            return "not at work now"
        return ""

    def told(self) -> str:
        """Return whom it passed over, as the end of a sentence."""
        shown = [f"{person} {why}" for person, why in list(self._passed.items())[:REASONS_SHOWN]]
        more = len(self._passed) - len(shown)
        return f"; {', '.join(shown)}{f' and {more} more' if more else ''}" if shown else ""

    def last(self, pool: str) -> str:
        """Return who had the last turn of a pool; empty before the first."""
        return self._turns.get(pool, "")


def _reason(rule: str, pool: str, person: str, member: str, office: _Office, *, urgent: bool) -> str:
    last = office.last(pool)
    turn = f"next after {last}" if last else "first turn"
    covering = f", covering {member}" if person != member else ""
    work = ", at work now" if urgent else ""
    return f"rule {rule}: pool {pool}, {turn}{covering}{work}{office.told()}"
