"""What becomes of leads: looked at as often as it may be, each has one owner, and loads are what the rows say."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.sync.leads import WORK, Desk, lead_id, policy

from headwater.sync.domain.leads import LeadState, Touch
from headwater.sync.domain.sla import TimerKind, TimerState
from headwater.sync.domain.tending import WAIT_S

ANN_IS_OUT = (
    'ann: {role: ae, accounts: {hubspot: "71"}, capacity: 40, hours: office}',
    'ann: {role: ae, accounts: {hubspot: "71"}, capacity: 40, hours: office, out: [{from: 2026-03-05, until: 2026-03-06}]}',
)


def ours(desk: Desk, number: int, after_s: float) -> Touch:
    """Return a touch of a lead by us."""
    return Touch(desk.now + dt.timedelta(seconds=after_s), ours=True, theirs=False, homes=(lead_id(number),))


def test_a_lead_is_given_once_however_often_it_is_looked_at() -> None:
    """The same input twice gives the same assignee, and nothing more is written."""
    desk = Desk()
    desk.lead(1, country="DE")
    assert [row.person for row in desk.look(1).given] == ["ann"]
    assert desk.look(1).changed == {}
    desk.project(1)
    assert desk.look(1, after_s=5).given == []
    assert desk.states() == [(LeadState.ASSIGNED, "ann")]
    assert desk.row(1).reason == "rule dach: pool dach, first turn"


def test_the_fast_lane_goes_first_then_the_order_of_the_log() -> None:
    """Of three that are looked at together the demo form has the first turn."""
    desk = Desk()
    for number, channel in ((1, "mail"), (2, "mail"), (3, "demo form")):
        desk.lead(number, country="FR", channel=channel)
    desk.look(2, 1, 3)
    assert [desk.row(number).person for number in (3, 1, 2)] == ["cid", "dag", "cid"]


def test_an_owner_from_elsewhere_is_kept_and_counts_and_its_loss_routes_anew() -> None:
    """A CRM's owner is respected, an operator's correction takes an assignment over, and without both routing decides."""
    desk = Desk()
    desk.lead(1, country="DE")
    desk.own(1, "bea", "crm")
    assert desk.look(1).loads["bea"] == 1
    assert desk.states() == [(LeadState.KEPT, "bea")]
    desk.own(1, None, "crm")
    desk.look(1)
    assert desk.states() == [(LeadState.ASSIGNED, "ann")]
    desk.own(1, "cid", "operator", "operator")
    desk.look(1)
    assert desk.states() == [(LeadState.KEPT, "cid")]
    assert desk.actions == ["lead_assigned", "sla_met", "lead_kept"]


def test_who_is_done_or_suppressed_frees_the_owner_and_comes_back() -> None:
    """Done and lost leads are nobody's load; one that is open again is its owner's."""
    desk = Desk()
    desk.lead(1, country="DE")
    desk.look(1)
    desk.lead(1, stage="won")
    assert +desk.look(1).loads == {}
    assert desk.states() == [(LeadState.DONE, "ann")]
    desk.lead(1, stage="lost")
    desk.look(1)
    assert desk.states() == [(LeadState.SUPPRESSED, "ann")]
    desk.lead(1, stage="open")
    assert desk.look(1).loads == {"ann": 1}
    assert desk.timers[(lead_id(1), 1, TimerKind.FIRST_TOUCH)].state is TimerState.DROPPED


def test_a_lead_waits_until_somebody_can_and_its_timer_runs() -> None:
    """Nobody has room: it is looked at again by itself; with room it is given, and what it took is known."""
    none = policy(("capacity: 40", "capacity: 0"), ("dag: {role: sdr,", "dag: {role: sdr, capacity: 0,"))
    desk = Desk(none)
    desk.lead(1, country="DE")
    desk.look(1)
    assert desk.states() == [(LeadState.WAITING, "")]
    assert desk.row(1).check_time == WORK + dt.timedelta(seconds=WAIT_S)
    desk.look(1, after_s=700)
    assert [(item.timer.kind, item.word) for item in desk.outcomes] == [(TimerKind.ASSIGNMENT, "breached")]
    desk.document = policy()
    desk.look(1, after_s=50)
    assert desk.states() == [(LeadState.ASSIGNED, "ann")]
    timer = desk.timers[(lead_id(1), 0, TimerKind.ASSIGNMENT)]
    assert (timer.state, timer.elapsed_s) == (TimerState.BREACHED, 750)
    assert desk.actions == ["lead_waiting", "sla_breached", "lead_assigned", "sla_ended_late"]


def test_days_away_move_untouched_leads_only() -> None:
    """The row says when the next days away begin; then a lead without a touch moves, the other stays."""
    desk = Desk(policy(ANN_IS_OUT, ("inactivity_s: 7200", "inactivity_s: 1000000")))
    for number in (1, 2, 3):
        desk.lead(number, country="DE")
    desk.look(1, 2, 3)
    assert desk.row(1).check_time == dt.datetime(2026, 3, 4, 23, tzinfo=dt.UTC)
    desk.look(touches=[ours(desk, 3, 60)])
    desk.look(1, 2, 3, after_s=24 * 3600)
    assert [desk.row(number).person for number in (1, 2, 3)] == ["bea", "bea", "ann"]
    assert desk.row(1).reason.startswith("ann is out of office; rule dach: pool dach, next after ann")
    assert (desk.row(1).number, desk.row(1).moves) == (2, 1)


def test_inactivity_moves_a_lead_so_often_and_no_more() -> None:
    """Two hours of the owner's working time without a touch: to the next one, three times at most."""
    desk = Desk()
    desk.lead(1, country="FR")
    desk.look(1)
    owners = [desk.row(1).person]
    for _ in range(6):
        check = desk.row(1).check_time
        if check is None:
            break
        desk.now = check
        desk.look(1)
        owners.append(desk.row(1).person)
    assert owners == ["cid", "dag", "cid", "dag"]
    assert desk.row(1).moves == 3
    assert desk.look(1, after_s=1e6).given == []


def test_a_touch_puts_inactivity_off() -> None:
    """The time begins with the last touch."""
    desk = Desk()
    desk.lead(1, country="FR")
    desk.look(1)
    desk.look(touches=[ours(desk, 1, 3600)])
    assert desk.row(1).check_time == WORK + dt.timedelta(hours=3)
    desk.look(1, after_s=2.5 * 3600)
    assert desk.row(1).person == "cid"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("ann: {role: ae,", "ann: {role: sdr,"), "ann is sdr now, was ae"),
        (("ann: {role: ae,", "ann: {role: ae, active: false,"), "ann is not active"),
        (("members: [ann, bea]", "members: [bea]"), None),
    ],
)
def test_a_changed_role_moves_a_lead(change: tuple[str, str], why: str | None) -> None:
    """By a policy: another role, not active, out of the pool, unless somebody there is covered by them."""
    desk = Desk()
    desk.lead(1, country="DE")
    desk.look(1)
    desk.document = policy(change)
    desk.look(1)
    if why is None:  # ann covers for bea, who is in the pool
        assert desk.row(1).person == "ann"
        desk.document = policy(change, (", cover: ann", ""))
        desk.look(1)
        why = "ann is no longer in pool dach"
    assert desk.row(1).person == "bea"
    assert desk.row(1).reason.startswith(why)


def test_what_is_locked_stays() -> None:
    """Where a lock or an operator chose the value, no automation moves it."""
    desk = Desk()
    desk.lead(1, country="DE")
    desk.look(1)
    desk.project(1)
    desk.own(1, "ann", "routing", "locked")
    desk.document = policy(("ann: {role: ae,", "ann: {role: ae, active: false,"))
    assert desk.look(1).given == []
    assert desk.row(1).person == "ann"


def test_a_merge_keeps_the_owner_that_shows_and_a_split_brings_both_back() -> None:
    """One row stands for the entity that stands; in whatever order both sides are looked at."""
    for order in ((1, 2), (2, 1)):
        desk = Desk()
        for number in (1, 2):
            desk.lead(number, country="DE")
            desk.look(number, after_s=1)
            desk.project(number)
        assert [person for _, person in desk.states()] == ["ann", "bea"]
        desk.merge(1, 2)
        for number in order:
            desk.look(number)
        assert desk.states() == [(LeadState.ENDED, "ann"), (LeadState.ASSIGNED, "bea")]
        assert desk.row(2).home_id == lead_id(1)
        assert desk.entities[lead_id(1)].fields["owner"].value == "bea"
        desk.split(1, 2)
        for number in order:
            desk.look(number)
        assert desk.states() == [(LeadState.ASSIGNED, "ann"), (LeadState.ASSIGNED, "bea")]
        assert [desk.row(number).home_id for number in (1, 2)] == [lead_id(1), lead_id(2)]


def test_what_the_log_says_is_taken_over_where_the_table_was_lost() -> None:
    """A rebuilt lead keeps its owner though no row tells of it."""
    desk = Desk()
    desk.lead(1, country="DE")
    desk.look(1)
    desk.project(1)
    desk.rows.clear()
    assert desk.look(1).given == []
    assert desk.states() == [(LeadState.ASSIGNED, "ann")]
    assert desk.row(1).number == 1


def test_a_deleted_lead_is_nobodys() -> None:
    """Its row ends and its timers are let go."""
    desk = Desk()
    desk.lead(1, country="DE")
    desk.look(1)
    desk.entities[lead_id(1)].state = "deleted"
    assert +desk.look(1).loads == {}
    assert desk.states() == [(LeadState.ENDED, "ann")]
    assert desk.timers[(lead_id(1), 1, TimerKind.FIRST_TOUCH)].state is TimerState.DROPPED


steps = st.lists(
    st.tuples(
        st.sampled_from(["look", "change", "own", "free", "touch", "project", "merge", "split", "policy"]),
        st.integers(1, 4),
        st.integers(0, 3),
    ),
    max_size=30,
)
CHANGES: tuple[dict[str, Any], ...] = (
    {"country": "DE"},
    {"stage": "won"},
    {"stage": "lost"},
    {"stage": "open"},
)
POLICIES = (
    policy(),
    policy(("ann: {role: ae,", "ann: {role: ae, active: false,")),
    policy(("capacity: 40", "capacity: 1")),
    policy(("inactivity_s: 7200", "inactivity_s: 600")),
)


@given(steps)
@settings(max_examples=120, deadline=None)
def test_any_history_gives_the_same_twice_and_loads_agree(history: list[tuple[str, int, int]]) -> None:
    """Replayed, a history ends the same; each standing lead has one standing row; loads are counted at every look."""
    first, second = played(history), played(history)
    assert (first.rows, first.timers, first.turns, first.outcomes) == (
        second.rows, second.timers, second.turns, second.outcomes,
    )  # fmt: skip
    for entity in first.entities.values():
        standing = [
            row
            for row in first.rows.values()
            if row.home_id == entity.entity_id and row.state is not LeadState.ENDED
        ]
        assert len(standing) == (1 if entity.state == "active" else 0)
    for row in first.rows.values():
        running = [item for item in first.timers.values() if item.entity_id == row.entity_id]
        stale = [
            item for item in running if item.state is TimerState.OPEN and item.number not in {0, row.number}
        ]
        assert stale == []


def played(history: list[tuple[str, int, int]]) -> Desk:
    """Play a history of four leads, and look at all of them at the end."""
    desk, merged = Desk(), list[tuple[int, int]]()
    for number in range(1, 5):
        desk.lead(number, country="DE")
    for word, number, choice in history:
        if word == "merge" and not merged and number != choice + 1:
            merged.append((number, choice + 1))
            desk.merge(*merged[0])
        elif word == "split" and merged:
            desk.split(*merged.pop())
        elif word == "policy":
            desk.document = POLICIES[choice]
        elif word == "look":
            desk.look(number, after_s=choice * 1800)
        elif word == "touch":
            desk.look(touches=[ours(desk, number, choice * 60)])
        elif desk.entities[lead_id(number)].state == "active":
            change(desk, word, number, choice)
    desk.look(1, 2, 3, 4, after_s=1)
    return desk


def change(desk: Desk, word: str, number: int, choice: int) -> None:
    """Change what is said of a lead that stands."""
    if word == "change":
        desk.lead(number, **CHANGES[choice])
    elif word == "own":
        desk.own(number, ("ann", "bea", "eve", "cid")[choice], "crm")
    elif word == "free" and "owner" in desk.entities[lead_id(number)].fields:
        desk.own(number, None, "crm")
    elif word == "project":
        desk.project(number)
