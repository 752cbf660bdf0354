"""Reviews: what is worth a look first, what may be decided and undone, who leaves a torn entity."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.identity.people import parts

from headwater.identity.domain.merging import Actor
from headwater.identity.domain.records import RecordId, RecordRef
from headwater.identity.domain.resolving.values import Question
from headwater.identity.domain.reviewing import (
    VERDICTS,
    Action,
    Kind,
    Review,
    Thresholds,
    by_worth,
    part,
    refuse_unless_fits,
    refuse_unless_open,
    refuse_unless_undoable,
    shown,
    worth,
)
from headwater.kernel.errors import PreconditionFailed
from headwater.kernel.ids import EntityId

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
THRESHOLDS = Thresholds(merge_bits=10.0, split_bits=-1.0)
ONE, TWO = EntityId(uuid.UUID(int=1)), EntityId(uuid.UUID(int=2))
REVIEW = Review(
    seq=7,
    question="merge",
    object="contact",
    rule="contact.email",
    blocked_by="",
    bits=10.0,
    entity_id=ONE,
    other_entity_id=TWO,
    record_id=RecordId("a"),
    other_record_id=RecordId("b"),
    ref=RecordRef("crm", "contact", "1"),
    other_ref=RecordRef("erp", "contact", "2"),
    create_time=NOW,
    close_time=None,
    skip_time=None,
    assignee="",
    records=2,
    systems=2,
)
DECIDED = Action(uuid.UUID(int=3), uuid.UUID(int=4), 7, Kind.MERGE, ONE, TWO, Actor(1, "kim", "Kim"), "", NOW)


@given(st.floats(-20, 30), st.floats(-20, 30), st.integers(1, 50), st.integers(1, 5))
def test_the_closer_to_the_threshold_the_more_a_review_is_worth(
    one: float, other: float, records: int, systems: int
) -> None:
    """With as much hanging on it, whichever side of the threshold it is."""
    nearer, farther = sorted((one, other), key=lambda bits: abs(bits - 10))
    stakes = replace(REVIEW, records=records, systems=systems)
    first = worth(replace(stakes, bits=nearer), THRESHOLDS)
    assert first >= worth(replace(stakes, bits=farther), THRESHOLDS) > 0


def test_what_more_hangs_on_comes_first_and_the_older_among_equals() -> None:
    """More systems before fewer, more records before fewer, then by age; a split is measured by its own threshold."""
    reviews = [
        replace(REVIEW, seq=1),
        replace(REVIEW, seq=2, systems=3),
        replace(REVIEW, seq=3),
        replace(REVIEW, seq=4, records=9),
        replace(REVIEW, seq=5, question="split", bits=-1.0, records=40),
    ]
    assert [one.seq for _, one in by_worth(reviews, THRESHOLDS)] == [5, 4, 2, 1, 3]


def test_a_decided_candidate_says_who_decided_what() -> None:
    """The second who decides hears whose word stands, and how to take it back."""
    with pytest.raises(PreconditionFailed) as refused:
        refuse_unless_open(replace(REVIEW, close_time=NOW), DECIDED)
    assert refused.value.reason == "ALREADY_DECIDED"
    assert refused.value.metadata["actor_id"] == "kim"
    assert str(DECIDED.action_id) in refused.value.message


@pytest.mark.parametrize(
    "review",
    [
        replace(REVIEW, close_time=NOW),
        replace(REVIEW, other_entity_id=ONE),
        replace(REVIEW, question="split"),
    ],
    ids=["closed", "merged_since", "split_since"],
)
def test_what_asks_nothing_any_more_is_refused(review: Review) -> None:
    """Its records were merged or split meanwhile."""
    with pytest.raises(PreconditionFailed) as refused:
        refuse_unless_open(review, None)
    assert refused.value.reason == "NOTHING_TO_DECIDE"
    refuse_unless_open(REVIEW, None)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("question", ["merge", "split"])
def test_an_answer_fits_its_question_or_is_refused(question: Question, kind: Kind) -> None:
    """Merge, keep apart, skip to the one; split, keep together, skip to the other."""
    review = replace(REVIEW, question=question)
    if kind in VERDICTS[review.question]:
        refuse_unless_fits(review, kind)
        return
    with pytest.raises(PreconditionFailed):
        refuse_unless_fits(review, kind)


def test_only_a_decision_that_stands_is_undone() -> None:
    """No undoing, no assignment, and nothing twice."""
    refuse_unless_undoable(DECIDED)
    for wrong in (
        replace(DECIDED, kind=Kind.UNDO),
        replace(DECIDED, kind=Kind.ASSIGN),
        replace(DECIDED, undone_by=uuid.UUID(int=9)),
    ):
        with pytest.raises(PreconditionFailed):
            refuse_unless_undoable(wrong)


def test_the_smaller_side_leaves_with_those_that_are_nearer_to_it() -> None:
    """Each record goes with the one of the two that it has more bits with, ties with the first."""
    a, b, c, d, e = (RecordId(name) for name in "abcde")
    bits = {(c, a): 5.0, (c, b): 1.0, (d, a): 1.0, (d, b): 5.0}
    leaving = part([a, b, c, d, e], a, b, lambda one, other: bits.get((one, other), -4.0))
    assert leaving == [b, d]
    assert part([a, b], a, b, lambda _one, _other: 0.0) == [b]
    assert part([a, b, c], a, b, lambda _one, other: 1.0 if other == b else 0.0) == [a]


def test_a_record_is_shown_by_the_fields_it_has() -> None:
    """Normalised values under words that people know; what is unknown is left out."""
    told = shown(parts(first_name="Ann", last_name="Lee", email="Ann@Firm.io", phone="+12125550147"))
    assert told["family name"] == "lee"
    assert told["mail"] == "ann@firm.io"
    assert told["phone"] == "+12125550147"
    assert "linkedin" not in told
