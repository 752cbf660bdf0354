"""Rollouts as a state machine: stages, the limit of failures, what operators may order."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sync.tenant import NOON, TENANT, key, moment

from headwater.policy.sharing import draw
from headwater.sync.domain.changing import PolicyChange, follow_policy, way_back
from headwater.sync.domain.rollout import (
    OPEN_MAX,
    RETURNS_MAX,
    ROLLBACK_STAGE,
    SAMPLE_MIN,
    Fate,
    Rollout,
    RolloutKind,
    RolloutState,
    Selection,
    Stage,
    Terms,
    aborted,
    admissible,
    advance,
    approved,
    exceeds,
    fate_of,
    going_back,
    held,
    hindered,
    look_again,
    planned,
    stage_ends,
    stage_of,
)

STATES = st.sampled_from(RolloutState)
RAMPS = st.lists(st.integers(2, 400), min_size=0, max_size=4, unique=True).map(sorted)


@st.composite
def terms(drawn: Any) -> Terms:
    """Draw terms whose stages rise."""
    ramp: list[int] = drawn(RAMPS)
    share = drawn(st.sampled_from([0.0, 0.05, 0.3, 1.0]))
    return Terms(1, tuple(ramp), share, drawn(st.integers(1, 5)), drawn(st.sampled_from([0.0, 30.0])))


def rollout(**changed: Any) -> Rollout:
    """Return a rollout that has just begun its first stage, unless *changed* says otherwise."""
    kind = changed.pop("kind", RolloutKind.POLICY)
    fields: dict[str, Any] = {
        "tenant_id": TENANT, "rollout_id": key(1), "connector": "crm", "kind": kind,
        "selection": Selection(key(2) if kind is RolloutKind.POLICY else None), "terms": Terms(),
        "actor": "ann", "policy_version": "8", "next_time": NOON, "rate_time": NOON,
        "state": RolloutState.RUNNING, "planned": True, "total_count": 2000, "stage": Stage(0, 10),
    }  # fmt: skip
    return Rollout(**{**fields, **changed})


def change(**changed: Any) -> PolicyChange:
    """Return a change whose new policy is in the log."""
    fields: dict[str, Any] = {
        "tenant_id": TENANT, "change_id": key(2), "former_text": "a", "former_digest": "old", "new_text": "b",
        "new_digest": "new", "actor": "ann", "create_time": NOON, "begin_time": NOON, "apply_time": NOON,
    }  # fmt: skip
    return PolicyChange(**{**fields, **changed})


@given(terms(), st.integers(1, 1000))
def test_stages_cover_every_record_once(given_terms: Terms, total: int) -> None:
    """Stages rise, none is empty, and together they are all records."""
    ends = stage_ends(given_terms, total)
    sizes = [stage_of(given_terms, total, number).size for number in range(len(ends))]
    assert ends[-1] == sum(sizes) == total
    assert min(sizes) > 0
    assert sizes[0] <= given_terms.records


@given(st.uuids(), st.lists(st.uuids(), min_size=2, max_size=50, unique=True))
def test_the_draw_is_the_same_at_every_call(rollout_id: uuid.UUID, entities: list[uuid.UUID]) -> None:
    """The order is a function of rollout and entity alone, and fits a bigint."""
    places = [draw(rollout_id, entity) for entity in entities]
    assert places == [draw(rollout_id, entity) for entity in entities]
    assert all(0 <= place < 2**63 for place in places)
    assert len(set(places)) == len(entities)


def test_two_rollouts_begin_with_different_records() -> None:
    """Not always the same ten are the canaries."""
    entities = [key(number) for number in range(1000)]
    first = sorted(entities, key=lambda item: draw(key(1), item))[:10]
    assert first != sorted(entities, key=lambda item: draw(key(2), item))[:10]


@given(terms(), st.integers(0, 600), st.floats(0, 1), st.randoms(use_true_random=False))
def test_a_rollout_ends_and_never_outruns_its_stages(
    given_terms: Terms, total: int, failing: float, chance: random.Random
) -> None:
    """Whatever fails: it ends, no stage begins before the last is settled, done and aborted mean what they say."""
    now, records = NOON, 0
    state = planned(
        rollout(terms=given_terms, total_count=total, state=RolloutState.PLANNING, planned=False), now
    )
    stage = state.stage
    for _ in range(5000):
        if state.ended or state.state is RolloutState.ROLLING_BACK:
            break
        number = state.stage.number
        count = chance.randint(0, admissible(state))
        records += count
        stage = state.stage.moved(Fate.PLANNED, Fate.OPEN, count)
        for _ in range(chance.randint(0, stage.count(Fate.OPEN))):
            stage = stage.moved(Fate.OPEN, Fate.FAILED if chance.random() < failing else Fate.DELIVERED)
        state = advance(replace(state, stage=stage), now)
        assert records <= stage_ends(given_terms, total)[number]
        if state.state is not RolloutState.ROLLING_BACK and (state.stage.number != number or state.ended):
            assert stage.settled
            assert not exceeds(given_terms, stage)
        now += dt.timedelta(seconds=chance.choice([0, 10, 40]))
    assert state.ended or state.state is RolloutState.ROLLING_BACK
    if state.state is RolloutState.DONE:
        assert records == total
    else:
        assert exceeds(given_terms, stage)


@given(st.integers(1, 400), st.integers(0, 400), st.integers(0, 400), st.sampled_from([0.0, 0.05, 0.5, 1.0]))
def test_a_settled_stage_passes_exactly_up_to_the_share(
    size: int, failed: int, left: int, share: float
) -> None:
    """At the end of a stage the share of failures decides alone, from the minimum count on."""
    failed, left = min(failed, size), min(left, size - min(failed, size))
    fates = {Fate.FAILED: failed, Fate.LEFT: left, Fate.DELIVERED: size - failed - left}
    stage, given_terms = Stage(0, size, fates), Terms(error_share_max=share, errors_min=2)
    assert exceeds(given_terms, stage) is (failed >= 2 and failed > share * (size - left))


def test_one_early_failure_does_not_speak_for_a_large_stage() -> None:
    """Two failures among the first three of a thousand wait for a sample; among twenty they abort."""
    early = Stage(2, 1000, {Fate.FAILED: 2, Fate.DELIVERED: 1})
    assert not exceeds(Terms(), early)
    assert exceeds(Terms(), Stage(2, 1000, {Fate.FAILED: 2, Fate.DELIVERED: SAMPLE_MIN - 2}))


def test_records_that_are_tried_again_count_as_failed_so_far() -> None:
    """An abort does not wait for hours of retries."""
    assert exceeds(Terms(), Stage(0, 10, {Fate.FAILING: 2, Fate.OPEN: 8}))


def test_a_stage_that_exceeds_aborts_in_its_soak_too() -> None:
    """What fails after it was delivered counts as well."""
    soaking = rollout(state=RolloutState.SOAKING, soak_time=moment(60), stage=Stage(0, 10, {Fate.FAILED: 2}))
    assert advance(soaking, NOON).state is RolloutState.ROLLING_BACK


def test_an_account_that_cannot_be_used_ends_the_rollout() -> None:
    """Not at once, for the finding may be an old one; and never while nothing waits for the account."""
    waiting = rollout(stage=Stage(0, 10, {Fate.OPEN: 3}, begin_time=NOON))
    assert hindered(waiting, "no such property", moment(1)) == waiting
    assert hindered(waiting, "", moment(10)) == waiting
    after = hindered(waiting, "no such property", moment(10))
    assert (after.state, after.reason) == (
        RolloutState.ROLLING_BACK,
        "the account cannot be used: no such property",
    )
    settled = replace(waiting, stage=Stage(0, 10, {Fate.DELIVERED: 3}, begin_time=NOON))
    assert hindered(settled, "no such property", moment(10)) == settled


def test_no_more_than_the_bound_is_under_way() -> None:
    """Records that wait hold the others up."""
    stage = Stage(3, 5000, {Fate.OPEN: OPEN_MAX - 5, Fate.FAILING: 2})
    assert admissible(rollout(stage=stage)) == 3


def test_nothing_is_admitted_unless_it_runs() -> None:
    """Neither held, nor soaking, nor before the way back is known."""
    for state in (RolloutState.HELD, RolloutState.SOAKING, RolloutState.PLANNING, RolloutState.DONE):
        assert admissible(rollout(state=state)) == 0
    assert admissible(rollout(state=RolloutState.ROLLING_BACK, planned=False)) == 0


@given(STATES, st.booleans())
def test_orders_keep_ended_rollouts_ended(state: RolloutState, is_planned: bool) -> None:  # noqa: FBT001 - drawn
    """Nothing brings a rollout back that has ended, and every order leads to a state that goes on or ends."""
    given_rollout = rollout(state=state, planned=is_planned)
    if given_rollout.ended:
        assert approved(given_rollout, NOON) is None
        assert held(given_rollout, "x") is None
        assert aborted(given_rollout, "x", NOON) == given_rollout
        assert advance(given_rollout, NOON) == given_rollout
    else:
        assert aborted(given_rollout, "x", NOON).state is RolloutState.ROLLING_BACK


def test_an_approval_ends_one_pause() -> None:
    """A settled stage is followed by the next; one in the middle goes on; one before its planning plans."""
    settled = Stage(0, 10, {Fate.DELIVERED: 10})
    waiting = rollout(state=RolloutState.HELD, stage=settled)
    following = approved(waiting, NOON)
    assert following is not None
    assert (following.state, following.stage.number, following.stage.size) == (RolloutState.RUNNING, 1, 90)
    midway = approved(rollout(state=RolloutState.HELD, stage=Stage(0, 10, {Fate.OPEN: 1})), NOON)
    assert midway is not None
    assert (midway.state, midway.stage.number) == (RolloutState.RUNNING, 0)
    early = approved(rollout(state=RolloutState.HELD, planned=False), NOON)
    assert early is not None
    assert early.state is RolloutState.PLANNING


def test_an_approval_does_not_pass_a_stage_that_failed() -> None:
    """It runs again, and aborts itself."""
    stage = Stage(0, 10, {Fate.DELIVERED: 5, Fate.FAILED: 5})
    after = approved(rollout(state=RolloutState.HELD, stage=stage), NOON)
    assert after is not None
    assert advance(after, NOON).state is RolloutState.ROLLING_BACK


def test_stages_wait_for_approval_where_the_policy_says_so() -> None:
    """All but the last: there is nothing left to approve then."""
    stage = Stage(0, 10, {Fate.DELIVERED: 10})
    soaked = rollout(terms=Terms(approval=True), state=RolloutState.SOAKING, soak_time=NOON, stage=stage)
    assert advance(soaked, NOON).state is RolloutState.HELD
    last = replace(soaked, total_count=10)
    assert advance(last, NOON).state is RolloutState.DONE


def test_a_redelivery_has_nothing_to_go_back_to() -> None:
    """Its abort is its end; that of a policy change is the way back."""
    assert aborted(rollout(kind=RolloutKind.REDELIVERY), "x", NOON).state is RolloutState.ABORTED
    back = aborted(rollout(), "x", NOON)
    assert (back.stage.number, back.planned) == (ROLLBACK_STAGE, False)
    assert advance(back, NOON) == back, "not before it is known what was admitted"
    assert advance(going_back(back, 0, NOON), NOON).state is RolloutState.ABORTED


@pytest.mark.parametrize(
    ("state", "error_class", "returns", "wanted", "fate"),
    [
        (2, "", 0, True, Fate.DELIVERED), (2, "", 0, False, None), (2, "", RETURNS_MAX, False, Fate.FAILED),
        (5, "validation", 0, True, Fate.FAILED), (6, "", 0, True, Fate.FAILED), (3, "server", 0, True, Fate.FAILING),
        (3, "rate_limit", 0, True, Fate.OPEN), (3, "held", 0, True, Fate.OPEN), (1, "", 0, True, Fate.OPEN),
        (4, "", 0, True, Fate.OPEN),
    ],
)  # fmt: skip
def test_a_record_stands_where_its_delivery_does(
    state: int,
    error_class: str,
    returns: int,
    wanted: bool,  # noqa: FBT001 - a row
    fate: Fate | None,
) -> None:
    """The truth decides: delivered is what the CRM is known to hold as wanted."""
    assert fate_of(state, error_class, returns, as_wanted=wanted) is fate


def test_what_dies_while_it_is_taken_back_goes_again() -> None:
    """A try of the mapping that is taken back may end after its record was sent back; not for ever."""
    assert fate_of(5, "validation", RETURNS_MAX - 1, as_wanted=True, back=True) is None
    assert fate_of(5, "validation", RETURNS_MAX, as_wanted=True, back=True) is Fate.FAILED


def test_what_a_person_is_asked_about_is_waited_for() -> None:
    """Its stage stays open; what consent holds is left out."""
    assert fate_of(7, "", 0, as_wanted=True, asked=True) is Fate.OPEN
    assert fate_of(7, "", 0, as_wanted=True) is Fate.LEFT


def test_a_soak_is_looked_at_when_it_ends() -> None:
    """Not later, and now and then before."""
    soaking = rollout(state=RolloutState.SOAKING, soak_time=moment(3))
    assert look_again(soaking, NOON) == moment(3)
    assert look_again(replace(soaking, soak_time=moment(3000)), NOON) == moment(5)


def test_a_rollout_waits_for_its_policy() -> None:
    """Nothing is delivered before the new policy is in force, nothing taken back before the former one is."""
    assert follow_policy(rollout(), change(apply_time=None), "old", NOON) is None
    back = rollout(state=RolloutState.ROLLING_BACK)
    assert follow_policy(back, change(), "new", NOON) is None
    assert follow_policy(back, change(end_time=NOON), "old", NOON) == back


@pytest.mark.parametrize(
    ("digest", "ended", "state"),
    [
        ("new", None, RolloutState.RUNNING), ("old", None, RolloutState.ROLLING_BACK),
        ("third", None, RolloutState.ABORTED), ("old", NOON, RolloutState.ROLLING_BACK),
    ],
)  # fmt: skip
def test_a_rollout_follows_the_policy_in_force(
    digest: str, ended: dt.datetime | None, state: RolloutState
) -> None:
    """Its own: it goes on. The one before: it goes back. A third one: it ends and touches nothing."""
    after = follow_policy(rollout(), change(end_time=ended), digest, NOON)
    assert after is not None
    assert after.state is state


def test_only_the_rollouts_own_policy_is_taken_back() -> None:
    """What somebody else has put in force is left alone."""
    assert [way_back(change(), digest) for digest in ("new", "old", "third")] == [
        "put_back",
        "is_back",
        "leave",
    ]
