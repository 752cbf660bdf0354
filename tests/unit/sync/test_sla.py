"""Timers: met, breached once, ended late, dropped; in somebody's hours, and the same after a restart."""

from __future__ import annotations

import datetime as dt

from tests.unit.policy.routed import ROUTED
from tests.unit.sync.leads import DOCUMENT, WORK, Desk, lead_id, policy

from headwater.policy.loading import load_policy
from headwater.sync.domain.leads import Touch
from headwater.sync.domain.sla import TimerKind, TimerState, told


def activity(desk: Desk, after_s: float, *, ours: bool) -> Touch:
    """Return an activity about the lead, some seconds from now."""
    return Touch(desk.now + dt.timedelta(seconds=after_s), ours, not ours, (lead_id(1),))


def desk_of(**values: str) -> Desk:
    """Return a desk with one lead that somebody has."""
    desk = Desk(policy(("inactivity_s: 7200", "inactivity_s: 30000000")))
    desk.lead(1, **values)
    desk.look(1)
    return desk


def timer(desk: Desk, kind: TimerKind, number: int = 1) -> tuple[TimerState, float | None]:
    """Return state and working time of a timer."""
    found = desk.timers[(lead_id(1), number, kind)]
    return found.state, found.elapsed_s


def words(desk: Desk) -> list[str]:
    """Return what the log was told, in order."""
    return [f"{item.timer.kind.name.lower()} {item.word}" for item in desk.outcomes]


def test_a_promise_is_kept() -> None:
    """Assigned at once, touched in time; a message of the lead begins the reply, which the next touch ends."""
    desk = desk_of(country="FR", channel="demo form")
    assert timer(desk, TimerKind.ASSIGNMENT, 0) == (TimerState.MET, 0)
    desk.look(touches=[activity(desk, 30, ours=True)])
    desk.look(touches=[activity(desk, 60, ours=False), activity(desk, 100, ours=True)], after_s=100)
    assert timer(desk, TimerKind.FIRST_TOUCH) == (TimerState.MET, 30)
    assert timer(desk, TimerKind.FIRST_REPLY) == (TimerState.MET, 40)
    assert words(desk) == ["assignment met", "first_touch met", "first_reply met"]
    desk.look(touches=[activity(desk, 500, ours=False)])
    assert timer(desk, TimerKind.FIRST_REPLY) == (TimerState.MET, 40)


def test_a_promise_is_broken_once_and_a_late_touch_is_told() -> None:
    """Nobody is in touch in time: one breach, however often it is looked at; what comes then is late."""
    desk = desk_of(country="FR", channel="demo form")
    desk.look(after_s=899)
    assert words(desk) == ["assignment met"]
    desk.look(after_s=1)
    desk.look(after_s=100)
    assert words(desk) == ["assignment met", "first_touch breached"]
    desk.look(touches=[activity(desk, 0, ours=True)])
    assert timer(desk, TimerKind.FIRST_TOUCH) == (TimerState.BREACHED, 1000)
    assert words(desk)[2:] == ["first_touch ended_late"]


def test_a_touch_that_was_heard_of_late_meets_its_timer_after_all() -> None:
    """It happened in time and was told after the breach: the timer is met, and the log has both."""
    desk = desk_of(country="FR", channel="demo form")
    desk.look(after_s=1000)
    desk.look(touches=[activity(desk, -500, ours=True)])
    assert timer(desk, TimerKind.FIRST_TOUCH) == (TimerState.MET, 500)
    assert words(desk)[1:] == ["first_touch breached", "first_touch met"]


def test_a_timer_runs_in_its_owners_hours() -> None:
    """Four hours of ann on a Wednesday at one end at five; on a Friday at two they end on Monday at noon."""
    desk = desk_of(country="DE")
    found = desk.timers[(lead_id(1), 1, TimerKind.FIRST_TOUCH)]
    assert found.due_time == dt.datetime(2026, 3, 4, 16, tzinfo=dt.UTC)
    late = Desk(now=dt.datetime(2026, 3, 6, 13, tzinfo=dt.UTC))
    late.lead(1, country="DE")
    late.look(1)
    after = late.timers[(lead_id(1), 1, TimerKind.FIRST_TOUCH)]
    assert after.due_time == dt.datetime(2026, 3, 9, 11, tzinfo=dt.UTC)  # one hour of Friday, three of Monday


def test_what_lies_before_the_assignment_counts_for_nothing() -> None:
    """A touch from before its owner had it is somebody else's."""
    desk = desk_of(country="FR", channel="demo form")
    desk.look(touches=[activity(desk, -1, ours=True)])
    assert timer(desk, TimerKind.FIRST_TOUCH) == (TimerState.OPEN, None)
    assert desk.row(1).untouched


def test_a_moved_lead_begins_anew() -> None:
    """The former owner's timer is dropped, the next one's runs."""
    desk = desk_of(country="DE")
    desk.document = policy(("ann: {role: ae,", "ann: {role: ae, active: false,"))
    desk.look(1, after_s=60)
    assert timer(desk, TimerKind.FIRST_TOUCH, 1) == (TimerState.DROPPED, None)
    assert timer(desk, TimerKind.FIRST_TOUCH, 2) == (TimerState.OPEN, None)


def test_without_promises_nothing_is_breached() -> None:
    """A policy that takes the SLAs out lets open timers go as they run out."""
    desk = desk_of(country="DE")
    text = ROUTED[: ROUTED.index("sla:\n")] + ROUTED[ROUTED.index("connectors:\n") :]
    desk.document = load_policy(text.replace("  reassign: {inactivity_s: 7200}\n", ""))
    desk.look(after_s=1e6)
    assert timer(desk, TimerKind.FIRST_TOUCH) == (TimerState.DROPPED, None)
    assert words(desk) == ["assignment met"]


def test_an_outcome_names_everything_that_whoever_acts_on_it_needs() -> None:
    """Lead, person, rule, promise, who is told, and the times."""
    desk = desk_of(country="FR", channel="demo form")
    desk.look(after_s=1000)
    said = told(desk.outcomes[-1], "contact")
    assert said == {
        "timer": "first_touch", "outcome": "breached", "object": "contact", "entity_id": str(lead_id(1)),
        "person": "cid", "rule": "fallback", "target": "fast", "escalate_to": "dag",
        "start_time": WORK.isoformat(), "due_time": (WORK + dt.timedelta(minutes=15)).isoformat(),
        "end_time": None, "elapsed_s": None,
    }  # fmt: skip
    assert DOCUMENT.sla is not None


def test_a_promise_that_was_broken_before_the_lead_moved_is_told() -> None:
    """Looked at long after: the first touch was due before inactivity moved the lead, so both happened."""
    desk = Desk()
    desk.lead(1, country="FR", channel="demo form")
    desk.look(1)
    desk.look(1, after_s=100_000)
    assert words(desk) == ["assignment met", "first_touch breached"]
    assert timer(desk, TimerKind.FIRST_TOUCH, 1)[0] is TimerState.BREACHED
    assert timer(desk, TimerKind.FIRST_TOUCH, 2)[0] is TimerState.OPEN
