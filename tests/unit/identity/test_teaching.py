"""The guards between learning and using: what is too little, what a person has to see, what may be used."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from tests.unit.identity.people import parts

from headwater.identity.domain.scoring.answers import Answer
from headwater.identity.domain.scoring.learning import Plan
from headwater.identity.domain.scoring.parts import Parts
from headwater.identity.domain.scoring.priors import shipped
from headwater.identity.domain.scoring.sizes import shipped_for
from headwater.identity.domain.scoring.weights import Weights
from headwater.identity.domain.teaching import Bounds, Lesson, Outcome, Subject, teach

SMALL = Plan(random_pairs=2_000)
WIDE = Bounds(moved_bits_max=64.0)


def _twins(count: int) -> list[Parts]:
    """Return people who are there twice, with one profile each, and mostly live in one city."""
    return [
        parts(
            first_name=f"N{n // 2}a",
            last_name=f"F{n // 2}b",
            linkedin_url=f"linkedin.com/in/person-{n // 2}x",
            city="London" if n // 2 % 3 else "Paris",
        )
        for n in range(2 * count)
    ]


def _learn(
    records: list[Parts],
    bounds: Bounds = WIDE,
    answers: list[Answer] | None = None,
    active: Weights | None = None,
) -> Lesson:
    subject = Subject("contact", 3, records, answers or [], active or shipped("contact"), frozenset())
    return teach(subject, random.Random(1), bounds, SMALL)


def _said(*, same: bool, held: bool = False) -> Answer:
    one = parts(first_name="Kaya", last_name="Orbeli", city="Paris")
    return Answer(one, parts(first_name="Kaya", last_name="Orbeli", city="London"), same, held)


def test_too_few_pairs_keep_what_is() -> None:
    """No weights come of it, and it says what is missing."""
    lesson = _learn(_twins(20))
    assert (lesson.outcome, lesson.weights, lesson.pairs) == (Outcome.KEPT, None, 20)
    assert "50" in lesson.findings[0]


def test_enough_pairs_teach_weights_under_the_number_given() -> None:
    """They name themselves, and each level stands beside what it was."""
    lesson = _learn(_twins(100))
    assert lesson.outcome is Outcome.FIT
    assert lesson.weights is not None
    assert (lesson.weights.version, lesson.pairs, lesson.records) == ("learned-3", 100, 200)
    assert lesson.levels[0].before == shipped("contact").prior_bits


def test_a_level_that_moves_far_needs_a_person() -> None:
    """The finding names the level, from where to where, and the bound."""
    lesson = _learn(_twins(100), Bounds(moved_bits_max=0.5))
    assert lesson.outcome is Outcome.DOUBTFUL
    assert "0.5 at the most" in lesson.findings[0]


def test_learning_the_same_again_is_no_new_version() -> None:
    """Against what it taught before, nothing moves."""
    first = _learn(_twins(100))
    assert first.weights is not None
    assert _learn(_twins(100), active=first.weights).outcome is Outcome.UNCHANGED


def test_answers_alone_teach_once_there_are_enough() -> None:
    """Below the bound nothing; above it the shipped weights move, little."""
    assert _learn(_twins(5), answers=[_said(same=False)] * 29).outcome is Outcome.KEPT
    lesson = _learn(_twins(5), answers=[_said(same=False)] * 40)
    assert lesson.from_answers
    assert lesson.outcome is Outcome.FIT
    assert 0.1 < max(one.moved for one in lesson.levels) <= 2.01


def test_answers_alone_start_from_the_weights_of_the_tenants_size() -> None:
    """In a tenant of a million, what few answers teach must not bring back the prior of ten thousand."""
    answers = [_said(same=True)] * 60
    subject = Subject("contact", 3, _twins(5), answers, shipped_for("contact", 6), frozenset(), 1_000_000)
    lesson = teach(subject, random.Random(1), WIDE, SMALL)
    assert lesson.weights is not None
    assert lesson.weights.prior_bits == shipped_for("contact", 6).prior_bits
    assert (lesson.levels[0].field, lesson.levels[0].moved) == ("before evidence", 0.0)


def test_answers_alone_never_add_up_over_many_runs() -> None:
    """Each run starts from the shipped weights: the same answers give the same weights again."""
    answers = [_said(same=False)] * 40
    first = _learn(_twins(5), answers=answers)
    assert first.weights is not None
    assert _learn(_twins(5), answers=answers, active=first.weights).outcome is Outcome.UNCHANGED


def test_worse_agreement_with_held_out_answers_needs_a_person() -> None:
    """Weights that people's held-out answers contradict more than the active ones are not used unasked."""
    active = replace(shipped("contact"), prior_bits=60.0)
    strangers = parts(first_name="Kaya", last_name="Orbeli"), parts(first_name="Tovik", last_name="Brack")
    held = [Answer(*strangers, same=True, held=True)] * 12
    lesson = _learn(_twins(200), answers=held, active=active)
    assert (lesson.held, lesson.agreed_before, lesson.agreed_after) == (12, 12, 0)
    assert lesson.outcome is Outcome.DOUBTFUL
    assert "0 of 12" in lesson.findings[0]


@pytest.mark.parametrize("held", [False, True])
def test_held_out_answers_teach_nothing(*, held: bool) -> None:
    """Only the others count as taught."""
    lesson = _learn(_twins(100), answers=[_said(same=True, held=held)] * 10)
    assert (lesson.answers, lesson.held) == ((0, 10) if held else (10, 0))
