"""What a merge or a split would do, in words."""

from __future__ import annotations

import random

import pytest

from headwater.connectors.base import ErrorClass, Link, Snapshot, Step, StepKind, Terms, VendorError
from headwater.connectors.base.merging import RESTORED
from headwater.sync.domain.following import HELD_S, PAUSE_S_MAX, TRIES_MAX, Course, judge
from headwater.sync.domain.forecasting import calls_of, forecast_merge, forecast_undo

TERMS = Terms("it goes", "nothing is undone", "we make up for it")
SURVIVOR = Snapshot("contacts", "1", {"city": "Ulm"}, (Link("deals", "7"),), ("city", "phone"))
LOSER = Snapshot("contacts", "2", {"phone": "5"}, (Link("deals", "7"), Link("companies", "8")), ("phone",))


def test_a_merge_tells_records_changes_steps_and_what_is_lost() -> None:
    """Before and after of each field, the call, the ties that move, and the vendor's terms."""
    told = forecast_merge(
        "crm", SURVIVOR, LOSER, {"phone": "5"}, [Step(StepKind.MERGE, "contacts", "1", "2")], TERMS
    )
    assert (told.mode, told.survivor_id, told.loser_id, told.calls) == ("merge", "1", "2", 1)
    assert [(one.field, one.before, one.after) for one in told.changes] == [("phone", "", "5")]
    assert told.steps == ("merge contacts 2 into 1", "1 ties of 2 go to the survivor")
    assert told.notes == ("it goes", "nothing is undone", "we make up for it")


def test_an_undoing_tells_what_the_survivor_gives_back() -> None:
    """What is set of the survivor counts as its changes; the vendor's terms stand beside."""
    steps = [
        Step(StepKind.SET, "contacts", "3", fields={"phone": None}),
        Step(StepKind.CREATE, "contacts", key="k", fields={"phone": "5"}),
    ]
    now = Snapshot("contacts", "3", {"city": "Ulm", "phone": "5"})
    told = forecast_undo("crm", now, LOSER, steps, TERMS)
    assert [(one.field, one.before, one.after) for one in told.changes] == [("phone", "5", "")]
    assert (told.mode, told.calls, len(told.steps)) == ("undo", 2, 2)


def test_calls_are_counted_by_what_the_vendors_take_at_once() -> None:
    """Ties go by kind, second addresses one by one."""
    steps = [
        Step(StepKind.FREE, "contacts", "1", fields={"email": ["a@x.io", "b@x.io"]}),
        Step(StepKind.UNLINK, "contacts", "1", links=LOSER.links),
        Step(StepKind.UNDELETE, "Contact", "2"),
    ]
    assert calls_of(steps) == 5


def error(error_class: ErrorClass, retry_after_s: float | None = None) -> VendorError:
    """Return a failure."""
    return VendorError(error_class, "CODE", "words", retry_after_s=retry_after_s)


@pytest.mark.parametrize("error_class", [ErrorClass.HELD, ErrorClass.NETWORK, ErrorClass.AUTH])
def test_what_was_certainly_not_sent_is_tried_without_end(error_class: ErrorClass) -> None:
    """No try is used up, and nothing is in doubt."""
    verdict = judge(error(error_class), TRIES_MAX, random.Random(1))
    assert (verdict.pause_s, verdict.try_count, verdict.in_doubt) == (HELD_S, TRIES_MAX, False)


def test_a_lost_answer_leaves_a_doubt_and_uses_up_a_try() -> None:
    """Pauses grow, up to a bound; the last try ends in a person's hands, still in doubt."""
    chance = random.Random(1)
    pauses = [judge(error(ErrorClass.IN_DOUBT), count, chance).pause_s for count in range(TRIES_MAX - 1)]
    assert all(pause is not None and 0 <= pause <= PAUSE_S_MAX for pause in pauses)
    last = judge(error(ErrorClass.IN_DOUBT), TRIES_MAX - 1, chance)
    assert (last.pause_s, last.in_doubt) == (None, True)


@pytest.mark.parametrize("error_class", [ErrorClass.VALIDATION, ErrorClass.CONFLICT, ErrorClass.PERMISSION])
def test_a_refusal_is_a_person_s_at_once(error_class: ErrorClass) -> None:
    """The same call would be refused again; certainly nothing was done."""
    verdict = judge(error(error_class), 0, random.Random(1))
    assert (verdict.pause_s, verdict.in_doubt) == (None, False)


def test_a_course_carries_the_new_id_to_the_steps_that_need_it() -> None:
    """What brings a record back tells its id to what comes after."""
    steps = (
        Step(StepKind.CREATE, "contacts", key="k"),
        Step(StepKind.LINK, "contacts", RESTORED, links=LOSER.links),
    )
    course = Course(steps).begin().after("99")
    step = course.next_step
    assert step is not None
    assert (step.crm_id, course.begun, course.restored, course.after("99").next_step) == (
        "99",
        False,
        "99",
        None,
    )
