"""Timers of what was promised to leads: opened, met, breached, dropped. Pure; `Book` keeps what has changed.

A timer that has run out is breached at once, also where nobody heard of it in time: rows outlive every process. What
ends it afterwards is kept with how long it took; where that turns out to have been in time, the timer is met after
all, and the log is told of both.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

from headwater.policy.hours import Calendar
from headwater.policy.routing import Routing, Sla, SlaTarget


class TimerKind(IntEnum):
    """What a timer waits for; numbers of routing.proto."""

    ASSIGNMENT = 1
    FIRST_TOUCH = 2
    FIRST_REPLY = 3


class TimerState(IntEnum):
    """What became of a timer; numbers of routing.proto."""

    OPEN = 1
    MET = 2
    BREACHED = 3
    DROPPED = 4


TimerKey = tuple[uuid.UUID, int, TimerKind]


@dataclass(frozen=True, slots=True)
class Timer:
    """What was promised to a lead.

    Args:
        number: of the assignment; 0 for what comes before the first.
        target: which promise it is.
        elapsed_s: working time that it took; None until it ended.
    """

    entity_id: uuid.UUID
    number: int
    kind: TimerKind
    target: str
    rule: str
    person: str
    escalate_to: str
    start_time: dt.datetime
    due_time: dt.datetime
    state: TimerState = TimerState.OPEN
    end_time: dt.datetime | None = None
    elapsed_s: float | None = None

    @property
    def key(self) -> TimerKey:
        """Lead, assignment and kind."""
        return (self.entity_id, self.number, self.kind)

    @property
    def unended(self) -> bool:
        """Whether what it waits for has not come; also of one that was breached."""
        return self.end_time is None and self.state in {TimerState.OPEN, TimerState.BREACHED}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A timer was met, breached, or ended after its breach."""

    timer: Timer
    word: str


def target_of(sla: Sla | None, rule: str, lane: str) -> SlaTarget | None:
    """Return the promise that counts for a lead; None where nothing was promised."""
    targets = sla.targets if sla else ()
    return next(
        (
            item
            for item in targets
            if (not item.rules or rule in item.rules) and (not item.lane or lane in item.lane)
        ),
        None,
    )


@dataclass(slots=True)
class TimerBook:
    """The timers of the leads that are looked at.

    Args:
        timers: as they stand.
        changed: those to write.
        outcomes: what the log is to be told, in order.
    """

    routing: Routing
    sla: Sla | None
    timers: dict[TimerKey, Timer] = field(default_factory=dict)
    changed: dict[TimerKey, Timer] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)

    def load(self, timers: Iterable[Timer]) -> None:
        """Take timers from the store."""
        self.timers.update({item.key: item for item in timers})

    def calendar(self, timer: Timer) -> Calendar:
        """Return by whose hours a timer goes: the team's before somebody has the lead, then theirs."""
        if timer.kind is TimerKind.ASSIGNMENT:
            hours = self.sla.hours if self.sla else None
            return Calendar(self.routing.hours.get(hours) if hours else None)
        return self.routing.calendars.get(timer.person) or Calendar()

    def open(
        self, kind: TimerKind, entity_id: uuid.UUID, number: int, rule: str, lane: str, person: str,
        start: dt.datetime,
    ) -> None:  # fmt: skip
        """Start a timer where one was promised, and none of that name ever ran."""
        target = target_of(self.sla, rule, lane)
        seconds = _seconds(target, kind)
        if target is None or seconds is None or (entity_id, number, kind) in self.timers:
            return
        timer = Timer(entity_id, number, kind, target.name, rule, person, target.escalate_to, start, start)
        self._set(replace(timer, due_time=self.calendar(timer).after(start, seconds)))

    def end(self, kind: TimerKind, entity_id: uuid.UUID, number: int, moment: dt.datetime) -> None:
        """Note that what a timer waits for came at *moment*; what lies before its start does not count."""
        timer = self.timers.get((entity_id, number, kind))
        if timer is None or not timer.unended or moment < timer.start_time:
            return
        in_time = moment <= timer.due_time
        elapsed_s = self.calendar(timer).between(timer.start_time, moment)
        late = timer.state is TimerState.BREACHED
        state = TimerState.MET if in_time else TimerState.BREACHED
        ended = replace(timer, state=state, end_time=moment, elapsed_s=elapsed_s)
        self._set(ended)
        if not in_time and not late:
            self.outcomes.append(Outcome(ended, "breached"))
        else:
            self.outcomes.append(Outcome(ended, "met" if in_time else "ended_late"))

    def run_out(self, now: dt.datetime) -> None:
        """Breach what is open and due."""
        for timer in sorted(self.timers.values(), key=lambda item: (item.due_time, item.key)):
            if timer.state is TimerState.OPEN and timer.due_time <= now and self.sla is None:
                self.drop(timer.entity_id, timer.number, (timer.kind,))  # nothing is promised any more
            elif timer.state is TimerState.OPEN and timer.due_time <= now:
                breached = replace(timer, state=TimerState.BREACHED)
                self._set(breached)
                self.outcomes.append(Outcome(breached, "breached"))

    def drop(self, entity_id: uuid.UUID, number: int, kinds: Iterable[TimerKind] = tuple(TimerKind)) -> None:
        """Let the open timers of an assignment go: it moved on, or the lead ended."""
        for kind in kinds:
            timer = self.timers.get((entity_id, number, kind))
            if timer is not None and timer.state is TimerState.OPEN:
                self._set(replace(timer, state=TimerState.DROPPED))

    def _set(self, timer: Timer) -> None:
        self.timers[timer.key] = self.changed[timer.key] = timer


def told(outcome: Outcome, object_name: str) -> Mapping[str, Any]:
    """Return what the event about a timer's outcome says."""
    timer = outcome.timer
    return {
        "timer": timer.kind.name.lower(),
        "outcome": outcome.word,
        "object": object_name,
        "entity_id": str(timer.entity_id),
        "person": timer.person,
        "rule": timer.rule,
        "target": timer.target,
        "escalate_to": timer.escalate_to,
        "start_time": timer.start_time.isoformat(),
        "due_time": timer.due_time.isoformat(),
        "end_time": timer.end_time.isoformat() if timer.end_time else None,
        "elapsed_s": timer.elapsed_s,
    }


def _seconds(target: SlaTarget | None, kind: TimerKind) -> float | None:
    if target is None:
        return None
    return (target.assignment_s, target.first_touch_s, target.first_reply_s)[kind - 1]
